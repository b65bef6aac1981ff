// Flags, signals, the order of starting; nothing else.
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <iostream>
#include <stop_token>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "agent/agent.h"
#include "agent/buffer_tool.h"
#include "agent/config.h"
#include "agent/logging.h"
#include "agent/sink.h"

namespace holdfast {
namespace {

constexpr int kExitFailure = 1;
constexpr int kExitBadConfig = 2;
// gRPC ends the process when it gets none of those that it starts with.
constexpr rlim_t kOpenFilesMin = 128;

int print_diagnostics(const std::vector<Diagnostic>& diagnostics) {
  for (const Diagnostic& diagnostic : diagnostics) std::cerr << diagnostic.text() << "\n";
  std::cerr << diagnostics.size() << (diagnostics.size() == 1 ? " error" : " errors")
            << " in the configuration\n";
  return kExitBadConfig;
}

/// Blocked before any thread starts, so that only wait_for_signal() takes them.
sigset_t block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, number);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a write past RLIMIT_FSIZE is an error like any other
  return set;
}

/// Takes all open files that the system lets us have, as programs of the Go runtime do: the usual
/// soft limit is what one receiver's connections need.
Status raise_open_files_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(setrlimit(RLIMIT_NOFILE, &limit));
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= kOpenFilesMin) return {};
  return Error{EMFILE, "only " + std::to_string(limit.rlim_cur) +
                           " open files are allowed (RLIMIT_NOFILE, ulimit -n), at least " +
                           std::to_string(kOpenFilesMin) + " are needed"};
}

/// The signal, or 0 after `timeout`.
int wait_for_signal(const sigset_t& set, std::chrono::microseconds timeout) {
  const timespec wait{static_cast<time_t>(timeout.count() / 1'000'000),
                      static_cast<long>(timeout.count() % 1'000'000 * 1000)};
  const int number = sigtimedwait(&set, nullptr, &wait);
  return number > 0 ? number : 0;
}

void wait_for_end(const sigset_t& set, const Agent& agent) {
  std::uint64_t watchdog_us = 0;
  const bool watched = sd_watchdog_enabled(0, &watchdog_us) > 0;
  const std::chrono::microseconds period(watched ? watchdog_us / 3 : 3'600'000'000ULL);
  for (;;) {
    const int number = wait_for_signal(set, period);
    if (number == SIGTERM || number == SIGINT) return;
    if (number == SIGHUP) {
      log(LogLevel::warn,
          "SIGHUP: this version does not reload, restart it for a new configuration");
    }
    const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(period * 3);
    if (watched && agent.is_live(limit)) sd_notify(0, "WATCHDOG=1");
  }
}

int run(const ConfigSources& sources) {
  // Two arenas: with one for each thread, memory at rest is several times what is in use.
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
  auto loaded = load_config(sources);
  if (const auto* diagnostics = std::get_if<std::vector<Diagnostic>>(&loaded)) {
    return print_diagnostics(*diagnostics);
  }
  Config config = std::get<Config>(std::move(loaded));
  const std::vector<std::string> warnings = config.warnings;
  configure_logging(config.telemetry.log_level,
                    config.telemetry.log_encoding == TelemetryConfig::Encoding::json);
  for (const std::string& warning : warnings) {
    log(LogLevel::warn, "configuration", {{"warning", warning}});
  }
  const sigset_t signals = block_signals();
  log(LogLevel::info, "holdfast starts", {{"version", HOLDFAST_VERSION}});
  if (Status enough = raise_open_files_limit(); !enough) {
    log(LogLevel::error, "holdfast cannot start", {{"error", enough.error().message}});
    return kExitFailure;
  }
  Agent agent(std::move(config));
  if (Status started = agent.start(); !started) {
    log(LogLevel::error, "holdfast cannot start", {{"error", started.error().message}});
    return kExitFailure;
  }
  log(LogLevel::info, "everything is ready");
  sd_notify(0, "READY=1");
  wait_for_end(signals, agent);
  sd_notify(0, "STOPPING=1");
  log(LogLevel::info, "stopping");
  agent.stop();
  log(LogLevel::info, "stopped");
  return 0;
}

int validate(const ConfigSources& sources) {
  const auto loaded = load_config(sources);
  if (const auto* diagnostics = std::get_if<std::vector<Diagnostic>>(&loaded)) {
    return print_diagnostics(*diagnostics);
  }
  for (const std::string& warning : std::get<Config>(loaded).warnings) {
    std::cerr << "warning: " << warning << "\n";
  }
  std::cout << "the configuration is valid\n";
  return 0;
}

int show_config(const ConfigSources& sources) {
  const auto printed = print_config(sources);
  if (const auto* diagnostics = std::get_if<std::vector<Diagnostic>>(&printed)) {
    return print_diagnostics(*diagnostics);
  }
  std::cout << std::get<std::string>(printed);
  return 0;
}

int sink(const SinkOptions& options) {
  configure_logging("info", false);
  const sigset_t signals = block_signals();
  std::stop_source stop;
  std::jthread waiter([&](const std::stop_token& done) noexcept {
    while (!done.stop_requested()) {
      const int number = wait_for_signal(signals, std::chrono::milliseconds(200));
      if (number == SIGTERM || number == SIGINT) stop.request_stop();
    }
  });
  return run_sink(options, stop.get_token());
}

struct CommandLine {
  ConfigSources sources;
  std::vector<std::string> sets;
  std::string feature_gates;
  SinkOptions sink;
  std::string directory;
};

void add_config_options(CLI::App& app, CommandLine& line) {
  app.add_option("--config", line.sources.files,
                 "Configuration: a file, env:NAME or yaml:TEXT; several are merged in order")
      ->allow_extra_args(false);
  app.add_option("--set", line.sets, "Set one key after all files: exporters.otlp_http.timeout=5s")
      ->allow_extra_args(false);
  app.add_option("--feature-gates", line.feature_gates,
                 "Accepted for the Collector's sake; no effect");
}

int split_sets(CommandLine& line, bool for_buffer = false) {
  for (const std::string& set : line.sets) {
    const std::size_t equals = set.find('=');
    if (equals == std::string::npos || equals == 0) {
      std::cerr << "--set " << set << ": want key=value, such as exporters.otlp_http.timeout=5s\n";
      return kExitBadConfig;
    }
    line.sources.sets.emplace_back(set.substr(0, equals), set.substr(equals + 1));
  }
  if (line.sources.files.empty()) {
    std::cerr << "no configuration: say --config FILE (config.example.yaml shows every key)"
              << (for_buffer ? " or --directory DIR" : "") << "\n";
    return kExitBadConfig;
  }
  return 0;
}

int buffer_command(CommandLine& line, bool verify) {
  if (line.directory.empty()) {
    if (const int failed = split_sets(line, true); failed != 0) return failed;
    const auto loaded = load_config(line.sources);
    if (const auto* diagnostics = std::get_if<std::vector<Diagnostic>>(&loaded)) {
      return print_diagnostics(*diagnostics);
    }
    line.directory = std::get<Config>(loaded).buffer.directory;
  }
  return verify ? verify_buffer(line.directory, std::cout) : list_buffer(line.directory, std::cout);
}

int main_checked(int argc, char** argv) {
  CommandLine line;
  CLI::App app(
      "Holdfast receives OpenTelemetry data, holds it on disk and forwards it: nothing is lost.",
      "holdfast");
  app.set_version_flag("--version", "holdfast version " HOLDFAST_VERSION);
  add_config_options(app, line);
  app.require_subcommand(0, 1);
  CLI::App* const run_app = app.add_subcommand("run", "Run the agent (the default)");
  CLI::App* const validate_app = app.add_subcommand("validate", "Check the configuration");
  CLI::App* const print_app =
      app.add_subcommand("print-config", "Print the merged configuration, secrets hidden");
  for (CLI::App* sub : {run_app, validate_app, print_app}) add_config_options(*sub, line);
  CLI::App* const components_app =
      app.add_subcommand("components", "List what this version supports");
  CLI::App* const sink_app =
      app.add_subcommand("sink", "A small OTLP/HTTP upstream that counts what comes, for trials");
  sink_app->add_option("--endpoint", line.sink.endpoint, "Where to listen")->capture_default_str();
  sink_app->add_option("--fail", line.sink.fail_status,
                       "Answer every request with this HTTP status");
  sink_app->add_flag("--quiet", line.sink.quiet, "Print the totals at the end only");
  CLI::App* const buffer_app =
      app.add_subcommand("buffer", "Look into a buffer directory, beside a running agent too");
  buffer_app->require_subcommand(1);
  CLI::App* const ls_app =
      buffer_app->add_subcommand("ls", "List segments with their records, items and ages");
  CLI::App* const verify_app =
      buffer_app->add_subcommand("verify", "Read every record and check its checksums");
  for (CLI::App* sub : {ls_app, verify_app}) {
    sub->add_option("--directory", line.directory,
                    "The buffer directory; else the configuration's");
    add_config_options(*sub, line);
  }
  CLI11_PARSE(app, argc, argv);

  if (components_app->parsed()) {
    std::cout << components_yaml();
    return 0;
  }
  if (sink_app->parsed()) return sink(line.sink);
  if (buffer_app->parsed()) return buffer_command(line, verify_app->parsed());
  if (const int failed = split_sets(line); failed != 0) return failed;
  if (validate_app->parsed()) return validate(line.sources);
  if (print_app->parsed()) return show_config(line.sources);
  return run(line.sources);
}

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) {
  try {
    return holdfast::main_checked(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "holdfast: " << error.what() << "\n";
    return 1;
  }
}
