#include "agent/command_line.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "agent/command_documents.h"

namespace holdfast {
namespace {

struct Parsing {
  CommandLine line;
  std::vector<std::string> sets;
  std::string feature_gates;
  std::string shell;
};

void add_config_options(CLI::App& app, Parsing& parsing) {
  app.add_option("--config", parsing.line.sources.files,
                 "Configuration: a file, env:NAME or yaml:TEXT; several are merged in order")
      ->type_name(kFileValue)
      ->allow_extra_args(false);
  app.add_option("--set", parsing.sets,
                 "Set one key after all files: exporters.otlp_http.timeout=5s")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app.add_option("--feature-gates", parsing.feature_gates,
                 "Accepted for the Collector's sake; no effect");
}

CLI::App* add_command(CLI::App& parent, const char* name, const char* help, Command command,
                      Parsing& parsing) {
  CLI::App* const app = parent.add_subcommand(name, help);
  app->callback([&parsing, command] { parsing.line.command = command; });
  return app;
}

/// A command on a buffer directory.
CLI::App* add_tool(CLI::App& parent, const char* name, const char* help, Command command,
                   Parsing& parsing) {
  CLI::App* const app = add_command(parent, name, help, command, parsing);
  app->add_option("--directory", parsing.line.directory,
                  "The buffer directory; else the configuration's")
      ->type_name(kDirectoryValue);
  add_config_options(*app, parsing);
  return app;
}

void add_signal(CLI::App& app, CommandLine& line, const char* help) {
  app.add_option("--signal", line.signal, help)
      ->type_name("SIGNAL")
      ->check(CLI::IsMember({"traces", "metrics", "logs", "profiles"}));
}

void add_filter(CLI::App& app, CommandLine& line) {
  add_signal(app, line, "Only traces, metrics, logs or profiles");
  app.add_option("--from", line.from_seq, "First sequence number")->type_name("N");
  app.add_option("--to", line.to_seq, "Last sequence number")->type_name("N");
  app.add_option("--since", line.since,
                 "Received then or later: RFC 3339, or a duration before now (2h30m)")
      ->type_name("TIME");
  app.add_option("--until", line.until, "Received before: RFC 3339, or a duration before now")
      ->type_name("TIME");
  app.add_option("--limit", line.limit, "At most so many requests")->type_name("N");
  app.add_option("--pending", line.pending_exporter, "Only what this exporter has not delivered")
      ->type_name("EXPORTER");
}

void add_format(CLI::App& app, CommandLine& line, const char* help) {
  app.add_option("--format", line.format, help)
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"json", "proto"}));
}

void add_yes(CLI::App& app, CommandLine& line) { app.add_flag("--yes", line.yes, "Do not ask"); }

void add_buffer_commands(CLI::App& app, Parsing& parsing) {
  CommandLine& line = parsing.line;
  CLI::App& buffer = *app.add_subcommand(
      "buffer", "Look into a buffer directory beside a running agent, or mend it without one");
  buffer.require_subcommand(1);
  add_tool(buffer, "ls", "List segments, cursors and quarantine", Command::buffer_ls, parsing);
  add_tool(buffer, "verify", "Read every record and check it; exit 1 when something is damaged",
           Command::buffer_verify, parsing);
  add_filter(*add_tool(buffer, "cat", "Print requests as OTLP/JSON, one a line",
                       Command::buffer_cat, parsing),
             line);
  CLI::App& exported =
      *add_tool(buffer, "export", "Write requests as the Collector's file exporter does",
                Command::buffer_export, parsing);
  add_filter(exported, line);
  add_format(exported, line, "json (lines, the default) or proto (length-delimited)");
  exported
      .add_option("--output", line.output,
                  "A new file, or a directory for a file of each signal; - is standard output")
      ->type_name(kFileValue)
      ->capture_default_str();
  CLI::App& imported =
      *add_tool(buffer, "import", "Put requests from files into the buffer of a stopped agent",
                Command::buffer_import, parsing);
  imported.add_option("files", line.names, "Files that export or the Collector wrote; - is stdin")
      ->type_name(kFileValue)
      ->required();
  add_format(imported, line, "json or proto; else the file tells");
  add_signal(imported, line, "What a proto file holds");
  CLI::App& repair =
      *add_tool(buffer, "repair", "Mend the buffer of a stopped agent: damage goes to quarantine",
                Command::buffer_repair, parsing);
  repair.add_flag("--dry-run", line.dry_run, "Say what would be done");
  CLI::App& purge = *add_tool(buffer, "purge", "Delete records from the buffer of a stopped agent",
                              Command::buffer_purge, parsing);
  add_signal(purge, line, "Only traces, metrics, logs or profiles");
  auto* const all = purge.add_flag("--all", line.all, "Everything, delivered or not");
  purge
      .add_option("--before", line.before,
                  "What was received before: RFC 3339, or a duration before now")
      ->type_name("TIME")
      ->excludes(all);
  add_yes(purge, line);
}

void add_quarantine_commands(CLI::App& app, Parsing& parsing) {
  CommandLine& line = parsing.line;
  CLI::App& quarantine =
      *app.add_subcommand("quarantine", "What upstreams refused for good, and damaged bytes");
  quarantine.require_subcommand(1);
  CLI::App& ls =
      *add_tool(quarantine, "ls", "List what is in quarantine", Command::quarantine_ls, parsing);
  ls.add_flag("--json", line.json, "One line of JSON an entry");
  add_signal(ls, line, "Only traces, metrics, logs or profiles");
  CLI::App& show =
      *add_tool(quarantine, "show", "Print entries: requests as OTLP/JSON, damage as a hex dump",
                Command::quarantine_show, parsing);
  show.add_flag("--raw", line.raw, "The bytes as they are");
  CLI::App& replay =
      *add_tool(quarantine, "replay",
                "Send requests again, and delete those that are taken; exit 1 if not all",
                Command::quarantine_replay, parsing);
  replay
      .add_option("--endpoint", line.endpoint,
                  "Send to this OTLP/HTTP base URL instead of the entry's exporter")
      ->type_name("URL");
  replay.add_flag("--dry-run", line.dry_run, "Say what would be sent");
  CLI::App& discard =
      *add_tool(quarantine, "discard", "Delete entries", Command::quarantine_discard, parsing);
  add_yes(discard, line);
  for (CLI::App* const sub : {&show, &replay, &discard}) {
    add_signal(*sub, line, "Only traces, metrics, logs or profiles");
    auto* const ids = sub->add_option("ids", line.names, "File names or sequence numbers");
    sub->add_flag("--all", line.all, "All entries")->excludes(ids);
  }
}

void add_commands(CLI::App& app, Parsing& parsing) {
  app.set_version_flag("--version", "holdfast version " HOLDFAST_VERSION);
  app.require_subcommand(0, 1);
  for (CLI::App* const run :
       {&app, add_command(app, "run", "Run the agent (the default)", Command::run, parsing)}) {
    add_config_options(*run, parsing);
    run->add_flag("--watch-config", parsing.line.watch_config,
                  "Reload when the configuration's files change, as on SIGHUP");
  }
  add_config_options(
      *add_command(app, "validate", "Check the configuration", Command::validate, parsing),
      parsing);
  add_config_options(
      *add_command(app, "print-config", "Print the merged configuration, secrets hidden",
                   Command::print_config, parsing),
      parsing);
  add_command(app, "components", "List what this version supports", Command::components, parsing);
  CLI::App& sink =
      *add_command(app, "sink", "A small OTLP/HTTP upstream that counts what comes, for trials",
                   Command::sink, parsing);
  SinkOptions& options = parsing.line.sink;
  sink.add_option("--endpoint", options.endpoint, "Where to listen")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  sink.add_option("--fail", options.fail_status, "Answer every request with this HTTP status")
      ->type_name("STATUS");
  sink.add_flag("--quiet", options.quiet, "Print the totals at the end only");
  add_buffer_commands(app, parsing);
  add_quarantine_commands(app, parsing);
  app.add_subcommand("completion", "Print what completes command lines in a shell")
      ->add_option("shell", parsing.shell, "Whose script")
      ->required()
      ->check(CLI::IsMember(kCompletionShells));
  app.add_subcommand("manual", "Print the manual page, for man -l");
}

/// Prints what is made from the description of the command line, if that is asked for.
bool print_documents(const CLI::App& app, const Parsing& parsing) {
  if (app.got_subcommand("completion")) {
    std::cout << completion_script(describe_command(app), parsing.shell);
    return true;
  }
  if (app.got_subcommand("manual")) {
    std::cout << manual_page(describe_command(app));
    return true;
  }
  return false;
}

bool split_sets(Parsing& parsing) {
  for (const std::string& set : parsing.sets) {
    const std::size_t equals = set.find('=');
    if (equals == std::string::npos || equals == 0) {
      std::cerr << "--set " << set << ": want key=value, such as exporters.otlp_http.timeout=5s\n";
      return false;
    }
    parsing.line.sources.sets.emplace_back(set.substr(0, equals), set.substr(equals + 1));
  }
  return true;
}

}  // namespace

std::variant<CommandLine, int> parse_command_line(int argc, char** argv) {
  Parsing parsing;
  CLI::App app(
      "Holdfast receives OpenTelemetry data, holds it on disk and forwards it: nothing is lost.",
      "holdfast");
  add_commands(app, parsing);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (print_documents(app, parsing)) return 0;
  if (!split_sets(parsing)) return kExitUsage;
  return std::move(parsing.line);
}

int print_diagnostics(const std::vector<Diagnostic>& diagnostics) {
  for (const Diagnostic& diagnostic : diagnostics) std::cerr << diagnostic.text() << "\n";
  std::cerr << diagnostics.size() << (diagnostics.size() == 1 ? " error" : " errors")
            << " in the configuration\n";
  return kExitUsage;
}

}  // namespace holdfast
