// One generated table for each shell, around as little code of the shell as will do. A command is
// known by its path: "" is the program, "/buffer/ls" is `holdfast buffer ls`.
#include <map>

#include "agent/command_documents.h"

namespace holdfast {
namespace {

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  for (;;) {
    const std::size_t at = text.find(from);
    result += text.substr(0, at);
    if (at == std::string_view::npos) return result;
    result += to;
    text.remove_prefix(at + from.size());
  }
}

std::string joined(const std::vector<std::string>& parts, std::string_view between) {
  std::string result;
  for (const std::string& part : parts) {
    if (!result.empty()) result += between;
    result += part;
  }
  return result;
}

// ---- bash ----
constexpr std::string_view kBashFiles =
    "mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
    "      compopt -o filenames 2>/dev/null\n";
constexpr std::string_view kBashDirectories =
    "mapfile -t COMPREPLY < <(compgen -d -- \"$current\")\n"
    "      compopt -o filenames 2>/dev/null\n";

std::string bash_values(const OptionDescription& option) {
  if (option.value == kFileValue) return std::string(kBashFiles);
  if (option.value == kDirectoryValue) return std::string(kBashDirectories);
  if (option.choices.empty()) return "COMPREPLY=()\n";
  return "mapfile -t COMPREPLY < <(compgen -W \"" + joined(option.choices, " ") +
         "\" -- \"$current\")\n";
}

/// The words that may stand behind a command, and files if one may.
std::string bash_words(const CommandDescription& command) {
  std::vector<std::string> words;
  for (const CommandDescription& each : command.commands) words.push_back(each.name);
  std::string files;
  for (const OptionDescription& each : command.positionals) {
    words.insert(words.end(), each.choices.begin(), each.choices.end());
    if (each.value == kFileValue) files = "      [[ $current == -* ]] || files=yes\n";
  }
  for (const OptionDescription& each : command.options) {
    words.insert(words.end(), each.names.begin(), each.names.end());
  }
  return "      words=\"" + joined(words, " ") + "\"\n" + files;
}

std::string bash_script(const CommandDescription& program) {
  std::vector<std::string> paths;
  std::map<std::string, std::vector<std::string>> values;  // what to do: after which words
  std::string words;
  for (const CommandDescription* const command : all_commands(program)) {
    if (!command->path.empty()) paths.push_back(command->path);
    for (const OptionDescription& option : command->options) {
      if (option.value.empty()) continue;
      for (const std::string& name : option.names) {
        values[bash_values(option)].push_back("\"" + command->path + " " + name + "\"");
      }
    }
    words += "    \"" + command->path + "\")\n" + bash_words(*command) + "      ;;\n";
  }
  std::string script = R"(# bash completion of holdfast, made by `holdfast completion bash`.
_holdfast() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local command= words= files= word
  # --option=value comes as three words.
  if [[ $current == = ]]; then
    current=
  elif [[ $previous == = ]]; then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$command/$word" in
      )" + joined(paths, " | ") +
                       R"() command+=/$word ;;
    esac
  done
  case "$command $previous" in
)";
  for (const auto& [what, after] : values) {
    script += "    " + joined(after, " | ") + ")\n      " + what + "      return\n      ;;\n";
  }
  script += "  esac\n  case \"$command\" in\n" + words + R"(  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  if [[ -n $files ]]; then
    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$current")
    compopt -o filenames 2>/dev/null
  fi
}
complete -F _holdfast holdfast
)";
  return script;
}

// ---- zsh ----
/// Inside single quotes, where brackets and colons part the fields of a specification.
std::string zsh_text(std::string_view text) {
  std::string result = replaced(text, "\\", "\\\\");
  for (const char* const special : {"[", "]", ":"}) {
    result = replaced(result, special, std::string("\\") + special);
  }
  return replaced(result, "'", "'\\''");
}

std::string zsh_values(const OptionDescription& option) {
  std::string values = ":" + zsh_text(option.value) + ":";
  if (option.value == kFileValue) return values + "_files";
  if (option.value == kDirectoryValue) return values + "_files -/";
  if (option.choices.empty()) return values + " ";
  return values + "(" + joined(option.choices, " ") + ")";
}

std::string zsh_option(const OptionDescription& option) {
  std::string lines;
  for (const std::string& name : option.names) {
    lines += " \\\n    '";
    if (option.repeatable) lines += "*";
    lines += name + (option.value.empty() ? "" : "=") + "[" + zsh_text(option.help) + "]";
    lines += (option.value.empty() ? "" : zsh_values(option)) + "'";
  }
  return lines;
}

std::string zsh_function(const CommandDescription& command) {
  const std::string name = "_holdfast" + replaced(command.path, "/", "__");
  std::string script = name + "() {\n";
  if (!command.commands.empty()) {
    script += "  local curcontext=$curcontext state line\n  local -a commands=(\n";
    for (const CommandDescription& each : command.commands) {
      script += "    '" + each.name + ":" + zsh_text(each.help) + "'\n";
    }
    script += "  )\n";
  }
  script += "  _arguments -C";
  for (const OptionDescription& each : command.options) script += zsh_option(each);
  for (const OptionDescription& each : command.positionals) {
    script += std::string(" \\\n    '") + (each.repeatable ? "*" : "") + zsh_values(each) + "'";
  }
  if (command.commands.empty()) return script + "\n}\n\n";
  script += R"( \
    '1:command:->command' \
    '*::argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument)
      case $line[1] in
)";
  for (const CommandDescription& each : command.commands) {
    script += "        " + each.name + ") " + name + "__" + each.name + " ;;\n";
  }
  return script + "      esac\n      ;;\n  esac\n}\n\n";
}

std::string zsh_script(const CommandDescription& program) {
  std::string script =
      "#compdef holdfast\n# zsh completion of holdfast, made by `holdfast completion zsh`.\n\n";
  for (const CommandDescription* const command : all_commands(program)) {
    script += zsh_function(*command);
  }
  return script +
         "if [[ $funcstack[1] == _holdfast ]]; then\n  _holdfast \"$@\"\nelse\n"
         "  compdef _holdfast holdfast\nfi\n";
}

// ---- fish ----
std::string fish_text(std::string_view text) {
  return "'" + replaced(replaced(text, "\\", "\\\\"), "'", "\\'") + "'";
}

std::string fish_values(const OptionDescription& option) {
  if (option.value == kFileValue) return " -r -F";
  if (option.value == kDirectoryValue) return " -x -a '(__fish_complete_directories)'";
  if (option.choices.empty()) return option.value.empty() ? "" : " -x";
  return " -x -a '" + joined(option.choices, " ") + "'";
}

std::string fish_command(const CommandDescription& command) {
  const std::string here = "complete -c holdfast -n '__holdfast_command \"" + command.path + "\"'";
  std::string script;
  for (const CommandDescription& each : command.commands) {
    script += here + " -a " + each.name + " -d " + fish_text(each.help) + "\n";
  }
  for (const OptionDescription& option : command.options) {
    script += here;
    for (const std::string& name : option.names) {
      script += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
    }
    script += fish_values(option) + " -d " + fish_text(option.help) + "\n";
  }
  for (const OptionDescription& each : command.positionals) {
    if (each.value == kFileValue) script += here + " -F\n";
    if (!each.choices.empty()) {
      script += here + " -a '" + joined(each.choices, " ") + "' -d " + fish_text(each.help) + "\n";
    }
  }
  return script;
}

std::string fish_script(const CommandDescription& program) {
  std::vector<std::string> paths;
  std::string script;
  for (const CommandDescription* const command : all_commands(program)) {
    if (!command->path.empty()) paths.push_back(command->path);
    script += fish_command(*command);
  }
  return R"(# fish completion of holdfast, made by `holdfast completion fish`.
function __holdfast_command --description 'Is this the command that has been typed?'
    set -l command ''
    for word in (commandline -opc)[2..-1]
        switch "$command/$word"
            case )" +
         joined(paths, " ") + R"(
                set command "$command/$word"
        end
    end
    test "$command" = "$argv[1]"
end
complete -c holdfast -f
)" + script;
}

}  // namespace

std::string completion_script(const CommandDescription& program, std::string_view shell) {
  if (shell == "bash") return bash_script(program);
  if (shell == "zsh") return zsh_script(program);
  if (shell == "fish") return fish_script(program);
  return {};
}

}  // namespace holdfast
