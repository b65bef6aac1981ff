// The command line: what was asked for, before any of it is done. Single-threaded.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "agent/config.h"
#include "agent/sink.h"

namespace holdfast {

enum class Command : std::uint8_t {
  run,
  validate,
  print_config,
  components,
  sink,
  buffer_ls,
  buffer_verify,
  buffer_cat,
  buffer_export,
  buffer_import,
  buffer_repair,
  buffer_purge,
  quarantine_ls,
  quarantine_show,
  quarantine_replay,
  quarantine_discard,
};

/// Values as they were typed; what they mean is the commands' business.
struct CommandLine {
  Command command = Command::run;
  ConfigSources sources;
  bool watch_config = false;
  SinkOptions sink;

  // Of the tools.
  std::string directory;
  std::string signal;
  std::uint64_t from_seq = 0;
  std::uint64_t to_seq = UINT64_MAX;
  std::string since;
  std::string until;
  std::string before;
  std::uint64_t limit = UINT64_MAX;
  std::string pending_exporter;
  std::string format;
  std::string output = "-";
  std::string endpoint;
  std::vector<std::string> names;  // files to import, ids of quarantined entries
  bool all = false;
  bool yes = false;
  bool dry_run = false;
  bool json = false;
  bool raw = false;
};

/// The exit code of everything that is wrong about the command line or the configuration.
inline constexpr int kExitUsage = 2;

/// What to do, or the exit code where all is said already: help, version, a wrong command line.
std::variant<CommandLine, int> parse_command_line(int argc, char** argv);

/// To standard error; returns kExitUsage.
int print_diagnostics(const std::vector<Diagnostic>& diagnostics);

/// `holdfast buffer …` and `holdfast quarantine …`. Returns the exit code.
int run_tool(const CommandLine& line, std::stop_token stop);

/// Does the command only look, so that a reader who has seen enough may end it by SIGPIPE?
bool only_looks(Command command);

}  // namespace holdfast
