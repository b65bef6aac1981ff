// Signals and the order of starting; nothing else.
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <iostream>
#include <stop_token>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "agent/agent.h"
#include "agent/buffer_tool_context.h"
#include "agent/command_line.h"
#include "agent/config.h"
#include "agent/config_reload.h"
#include "agent/log_settings.h"
#include "agent/logging.h"
#include "agent/own_resource.h"
#include "agent/sink.h"

namespace holdfast {
namespace {

constexpr int kExitFailure = 1;
// gRPC ends the process when it gets none of those that it starts with.
constexpr rlim_t kOpenFilesMin = 128;

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

/// Until READY=1 follows, systemd takes the agent for one that reloads (sd_notify(3)).
void notify_reloading() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const std::int64_t us = now.tv_sec * 1'000'000LL + now.tv_nsec / 1000;
  const std::string text = "RELOADING=1\nMONOTONIC_USEC=" + std::to_string(us);
  sd_notify(0, text.c_str());
}

void wait_for_end(const sigset_t& set, const Agent& agent, ConfigReload& reload) {
  std::uint64_t watchdog_us = 0;
  const bool watched = sd_watchdog_enabled(0, &watchdog_us) > 0;
  const std::chrono::microseconds period(watched ? watchdog_us / 3 : 3'600'000'000ULL);
  for (;;) {
    const int number = wait_for_signal(set, period);
    if (number == SIGTERM || number == SIGINT) return;
    if (number == SIGHUP) {
      notify_reloading();
      reload.run();
      sd_notify(0, "READY=1");
    }
    const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(period * 3);
    if (watched && agent.is_live(limit)) sd_notify(0, "WATCHDOG=1");
  }
}

int run(const CommandLine& line) {
  // Two arenas: with one for each thread, memory at rest is several times what is in use.
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
  auto loaded = load_config(line.sources);
  if (const auto* diagnostics = std::get_if<std::vector<Diagnostic>>(&loaded)) {
    return print_diagnostics(*diagnostics);
  }
  Config config = std::get<Config>(std::move(loaded));
  const std::vector<std::string> warnings = config.warnings;
  configure_logging(config.telemetry.log_level,
                    config.telemetry.log_encoding == TelemetryConfig::Encoding::json);
  const TelemetryConfig& telemetry = config.telemetry;
  if (Status opened = open_log(telemetry, own_resource(telemetry.resource)); !opened) {
    log(LogLevel::error, "holdfast cannot start", {{"error", opened.error().message}});
    return kExitFailure;
  }
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
  ConfigReload reload(line.sources, agent);
  if (line.watch_config) reload.watch([] { kill(getpid(), SIGHUP); });  // waits for the start's end
  if (Status started = agent.start(); !started) {
    log(LogLevel::error, "holdfast cannot start", {{"error", started.error().message}});
    return kExitFailure;
  }
  log(LogLevel::info, "everything is ready");
  sd_notify(0, "READY=1");
  wait_for_end(signals, agent, reload);
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

/// Does `work` until it is done or a signal asks it to stop; a second signal ends it at once.
template <typename Work>
int until_signal(Work work) {
  const sigset_t signals = block_signals();
  std::stop_source stop;
  std::jthread waiter([&](const std::stop_token& done) noexcept {
    while (!done.stop_requested()) {
      const int number = wait_for_signal(signals, std::chrono::hours(1));
      if (done.stop_requested() || (number != SIGTERM && number != SIGINT)) continue;
      if (stop.stop_requested()) std::_Exit(kToolInterrupted);
      stop.request_stop();
    }
  });
  const int code = work(stop.get_token());
  waiter.request_stop();
  pthread_kill(waiter.native_handle(), SIGTERM);  // it waits for nothing else
  return code;
}

int sink(const SinkOptions& options) {
  configure_logging("info", false);
  return until_signal([&](const std::stop_token& stop) { return run_sink(options, stop); });
}

int tool(const CommandLine& line) {
  configure_logging("warn", false);
  return until_signal([&](const std::stop_token& stop) {
    if (only_looks(line.command)) std::signal(SIGPIPE, SIG_DFL);
    return run_tool(line, stop);
  });
}

int main_checked(int argc, char** argv) {
  const auto parsed = parse_command_line(argc, argv);
  if (const int* const code = std::get_if<int>(&parsed)) return *code;
  const CommandLine& line = std::get<CommandLine>(parsed);
  switch (line.command) {
    case Command::components:
      std::cout << components_yaml();
      return 0;
    case Command::sink:
      return sink(line.sink);
    case Command::run:
    case Command::validate:
    case Command::print_config:
      break;
    default:
      return tool(line);
  }
  if (line.sources.files.empty()) {
    std::cerr << "no configuration: say --config FILE (config.example.yaml shows every key)\n";
    return kExitUsage;
  }
  if (line.command == Command::validate) return validate(line.sources);
  if (line.command == Command::print_config) return show_config(line.sources);
  return run(line);
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
