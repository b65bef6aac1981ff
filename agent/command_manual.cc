// holdfast(1): the commands and options as the program describes them, between prose that stands
// here.
#include <algorithm>

#include "agent/command_documents.h"

namespace holdfast {
namespace {

constexpr std::string_view kDescription = R"(.SH DESCRIPTION
Holdfast takes traces, metrics, logs and profiles over OTLP (gRPC and HTTP), has them on disk before it answers that they
are received, and forwards them when the upstream can be reached.
It reads the configuration of the OpenTelemetry Collector.
.PP
Without a command it runs the agent, which needs a configuration.
Several
.B \-\-config
are merged in order, and each
.B \-\-set
comes after them.
)";

constexpr std::string_view kRest = R"(.SH EXIT STATUS
.TP
.B 0
Success. The agent ended after SIGTERM or SIGINT.
.TP
.B 1
The agent cannot start: a port or the directory is taken. A command found damage, or could not do all of it.
.TP
.B 2
The command line or the configuration is wrong.
.SH SIGNALS
.TP
.B SIGTERM, SIGINT
The agent answers what is under way, sends what an upstream takes within two seconds, and ends.
.TP
.B SIGHUP
The agent reads its configuration again. If that is wrong it goes on with what it has.
.SH ENVIRONMENT
.TP
.B STATE_DIRECTORY
Where the buffer is, if the configuration names no directory; set by
.BR systemd.exec (5).
.TP
.B XDG_STATE_HOME
The buffer is in its directory
.I holdfast
for other users than root, if neither of these is set;
.I ~/.local/state
by default.
.PP
A configuration may take values from any other variable.
.SH FILES
.TP
.I /etc/holdfast/config.yaml
The configuration of the system's service.
.TP
.I /var/lib/holdfast
The buffer of the system's service: what is received and not delivered yet.
.TP
.I /usr/share/doc/holdfast
All keys of the configuration, operation, and the format on disk.
.SH EXAMPLES
.TP
.B holdfast validate \-\-config /etc/holdfast/config.yaml
Says what is wrong with a configuration, and where.
.TP
.B holdfast buffer ls \-\-directory /var/lib/holdfast
Lists what the service holds.
.TP
.B holdfast sink
Is an upstream for trials: it counts what comes.
.SH SEE ALSO
.BR systemctl (1),
.BR journalctl (1)
.PP
.UR https://opentelemetry.io/docs/collector/configuration/
Configuration of the OpenTelemetry Collector
.UE
)";

/// Hyphens stay the ASCII ones that can be copied into a shell.
std::string roff(std::string_view text) {
  std::string result;
  for (const char each : text) {
    if (each == '\\') {
      result += "\\e";
    } else if (each == '-') {
      result += "\\-";
    } else {
      result += each;
    }
  }
  // A dot or an apostrophe that begins a line would begin a request.
  return result.starts_with('.') || result.starts_with('\'') ? "\\&" + result : result;
}

std::string bold(std::string_view text) { return "\\fB" + roff(text) + "\\fR"; }
std::string italic(std::string_view text) { return "\\fI" + roff(text) + "\\fR"; }

std::string value_of(const OptionDescription& option) {
  if (option.choices.empty()) return italic(option.value);
  std::string values;
  for (const std::string& choice : option.choices) {
    values += (values.empty() ? "" : "|") + bold(choice);
  }
  return values;
}

/// "[--signal traces|metrics|logs]"
std::string in_synopsis(const OptionDescription& option, bool positional) {
  std::string text = positional ? italic(option.names.front()) : bold(option.names.back());
  if (!positional && !option.value.empty()) text += " " + value_of(option);
  if (!option.required) text = "[" + text + "]";
  return text + (option.repeatable ? "..." : "");
}

std::string synopsis(const CommandDescription& command) {
  std::string name = "holdfast" + command.path;
  std::replace(name.begin(), name.end(), '/', ' ');
  std::string text = bold(name);
  for (const OptionDescription& each : command.options) text += " " + in_synopsis(each, false);
  for (const OptionDescription& each : command.positionals) text += " " + in_synopsis(each, true);
  if (!command.commands.empty()) {
    text += " " + (command.path.empty() ? "[" + italic("COMMAND") + "]" : italic("COMMAND"));
  }
  return text + "\n";
}

std::string paragraph(const OptionDescription& option, bool positional) {
  std::string names;
  for (const std::string& name : option.names) {
    names += (names.empty() ? "" : ", ") + (positional ? italic(name) : bold(name));
  }
  if (!positional && !option.value.empty()) names += " " + value_of(option);
  std::string text = ".TP\n" + names + "\n" + roff(option.help) + ".\n";
  if (!option.default_value.empty()) text += "The default is " + bold(option.default_value) + ".\n";
  return text;
}

bool is_option_of(const OptionDescription& option, const CommandDescription& program) {
  return std::any_of(program.options.begin(), program.options.end(),
                     [&](const OptionDescription& each) {
                       return each.names == option.names && each.help == option.help;
                     });
}

/// The options that every command has are described once, with the program's.
std::string section(const CommandDescription& command, const CommandDescription& program) {
  std::string name = "holdfast" + command.path;
  std::replace(name.begin(), name.end(), '/', ' ');
  std::string text = ".SS " + roff(name) + "\n" + synopsis(command) + ".PP\n";
  text += roff(command.help) + ".\n";
  for (const OptionDescription& each : command.positionals) text += paragraph(each, true);
  for (const OptionDescription& each : command.options) {
    if (!is_option_of(each, program)) text += paragraph(each, false);
  }
  return text;
}

}  // namespace

std::string manual_page(const CommandDescription& program) {
  std::string page = ".TH HOLDFAST 1 \"\" \"holdfast " HOLDFAST_VERSION
                     "\" \"User Commands\"\n"
                     ".SH NAME\nholdfast \\- OpenTelemetry agent that loses nothing\n"
                     ".SH SYNOPSIS\n.nh\n.ad l\n" +
                     synopsis(program) + std::string(kDescription) + ".SH OPTIONS\n";
  for (const OptionDescription& each : program.options) page += paragraph(each, false);
  page += ".SH COMMANDS\n";
  for (const CommandDescription* const command : all_commands(program)) {
    if (command != &program) page += section(*command, program);
  }
  return page + std::string(kRest);
}

}  // namespace holdfast
