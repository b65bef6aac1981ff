// The command line as plain values: what completion scripts and the manual page are made from, so
// that neither can say anything else than --help does. Single-threaded.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): not ours
class App;
}

namespace holdfast {

/// What stands for a value that is the path of a file or of a directory; shells complete these.
inline constexpr const char* kFileValue = "FILE";
inline constexpr const char* kDirectoryValue = "DIRECTORY";

/// An option, a flag, or a positional argument.
struct OptionDescription {
  std::vector<std::string> names;  // "-h", "--help"; "files" of what stands behind the command
  std::string value;               // what stands for its value, such as "FILE"; empty for a flag
  std::vector<std::string> choices;
  std::string default_value;
  std::string help;
  bool required = false;
  bool repeatable = false;
};

struct CommandDescription {
  std::string name;  // "ls"
  std::string path;  // "/buffer/ls"; empty for the program itself
  std::string help;
  std::vector<OptionDescription> options;
  std::vector<OptionDescription> positionals;
  std::vector<CommandDescription> commands;
};

CommandDescription describe_command(const CLI::App& app);

/// The command and all below it, in the order of --help. Valid as long as `command` is.
std::vector<const CommandDescription*> all_commands(const CommandDescription& command);

}  // namespace holdfast
