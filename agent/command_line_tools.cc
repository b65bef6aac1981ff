// From the command line to the offline tools: directories, filters, what must be said and was not.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <iostream>

#include "agent/buffer_tool.h"
#include "agent/buffer_tool_export.h"
#include "agent/buffer_tool_import.h"
#include "agent/buffer_tool_purge.h"
#include "agent/buffer_tool_repair.h"
#include "agent/command_line.h"
#include "agent/config_values.h"
#include "agent/quarantine_tool.h"
#include "buffer/clock.h"

namespace holdfast {
namespace {

int wrong(std::string_view what) {
  std::cerr << what << "\n";
  return kExitUsage;
}

std::optional<Signal> signal_of(const CommandLine& line) { return signal_from_name(line.signal); }

bool read_when(std::string_view option, const std::string& text, std::int64_t& unix_ns) {
  if (text.empty() || parse_when(text, system_clock().unix_ns(), unix_ns)) return true;
  wrong(std::string(option) + " " + text +
        ": want a time (2026-11-21T13:00:00Z) or a duration before now (2h30m)");
  return false;
}

int export_requests(const CommandLine& line, const std::string& directory, ToolContext& context) {
  ExportOptions options;
  RecordFilter& filter = options.filter;
  filter.signal = signal_of(line);
  filter.from_seq = line.from_seq;
  filter.to_seq = line.to_seq;
  filter.requests_max = line.limit;
  filter.pending_exporter = line.pending_exporter;
  if (!read_when("--since", line.since, filter.since_unix_ns)) return kExitUsage;
  if (!read_when("--until", line.until, filter.until_unix_ns)) return kExitUsage;
  if (line.format == "proto") options.format = ExportFormat::proto;
  options.output = line.output;
  struct stat info {};
  const bool to_directory = ::stat(line.output.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  if (options.format == ExportFormat::proto && !filter.signal && !to_directory) {
    return wrong(
        "a proto file does not say which signal it holds: say --signal, or --output DIRECTORY");
  }
  return export_buffer(directory, options, context);
}

int import_requests(const CommandLine& line, const std::string& directory,
                    const std::optional<Config>& config, ToolContext& context) {
  BufferImportTarget target = config ? import_target(*config) : import_target(directory);
  target.directory = directory;
  for (const Signal signal : kSignals) {
    target.logs[index_of(signal)].directory = directory + "/" + std::string(name_of(signal));
  }
  ImportOptions options;
  options.files = line.names;
  options.signal = signal_of(line);
  if (!line.format.empty()) {
    options.format = line.format == "proto" ? ExportFormat::proto : ExportFormat::json;
  }
  return import_buffer(target, options, context);
}

int purge(const CommandLine& line, const std::string& directory, ToolContext& context) {
  PurgeOptions options;
  options.signal = signal_of(line);
  options.yes = line.yes;
  if (!line.all && line.before.empty()) return wrong("say what to delete: --all or --before TIME");
  if (!read_when("--before", line.before, options.before_unix_ns)) return kExitUsage;
  return purge_buffer(posix_filesystem(), directory, options, context);
}

int quarantine(const CommandLine& line, const std::string& directory,
               const std::optional<Config>& config, ToolContext& context) {
  QuarantineSelection selection{directory, signal_of(line), line.names};
  if (line.command == Command::quarantine_ls) {
    return list_quarantine(selection, line.json, context);
  }
  if (line.names.empty() && !line.all) {
    return wrong("say which entries: file names or sequence numbers from ls, or --all");
  }
  if (line.command == Command::quarantine_show) {
    return show_quarantine(selection, line.raw, context);
  }
  if (line.command == Command::quarantine_discard) {
    return discard_quarantine(selection, line.yes, context);
  }
  if (line.endpoint.empty() && !config) {
    return wrong(
        "say where to send: --config FILE for the entries' own exporters, or --endpoint URL");
  }
  if (!line.endpoint.empty() && !is_http_url(line.endpoint)) {
    return wrong("--endpoint " + line.endpoint + ": want a URL, as in http://host:4318");
  }
  ReplayOptions options;
  if (config) options.exporters = config->exporters;
  options.endpoint = line.endpoint;
  options.dry_run = line.dry_run;
  return replay_quarantine(selection, options, context);
}

}  // namespace

bool only_looks(Command command) {
  constexpr std::array kLooking{Command::buffer_ls,     Command::buffer_verify,
                                Command::buffer_cat,    Command::buffer_export,
                                Command::quarantine_ls, Command::quarantine_show};
  return std::find(kLooking.begin(), kLooking.end(), command) != kLooking.end();
}

int run_tool(const CommandLine& line, std::stop_token stop) {
  std::optional<Config> config;
  if (line.directory.empty() || !line.sources.files.empty()) {
    if (line.sources.files.empty()) {
      return wrong(
          "no buffer directory: say --directory DIR, or --config FILE of the agent whose it is");
    }
    auto loaded = load_config(line.sources);
    if (const auto* diagnostics = std::get_if<std::vector<Diagnostic>>(&loaded)) {
      return print_diagnostics(*diagnostics);
    }
    config = std::get<Config>(std::move(loaded));
  }
  const std::string directory = line.directory.empty() ? config->buffer.directory : line.directory;
  ToolContext context{std::cout, std::cerr, std::move(stop), ::isatty(STDERR_FILENO) == 1,
                      ::isatty(STDERR_FILENO) == 1 && ::isatty(STDIN_FILENO) == 1};
  switch (line.command) {
    case Command::buffer_ls:
      return list_buffer(directory, context);
    case Command::buffer_verify:
      return verify_buffer(directory, context);
    case Command::buffer_cat:
    case Command::buffer_export:
      return export_requests(line, directory, context);
    case Command::buffer_import:
      return import_requests(line, directory, config, context);
    case Command::buffer_repair:
      return repair_buffer(posix_filesystem(), directory, line.dry_run, context);
    case Command::buffer_purge:
      return purge(line, directory, context);
    default:
      return quarantine(line, directory, config, context);
  }
}

}  // namespace holdfast
