#include "agent/config_reload.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>
#include <variant>
#include <vector>

#include "agent/logging.h"

namespace holdfast {
namespace {

constexpr std::size_t kDiagnosticsMax = 8;

}  // namespace

std::string text_of(const std::vector<Diagnostic>& diagnostics) {
  std::string text;
  const std::size_t shown = std::min(diagnostics.size(), kDiagnosticsMax);
  for (std::size_t i = 0; i < shown; ++i) {
    if (i > 0) text += "; ";
    text += diagnostics[i].text();
  }
  if (shown < diagnostics.size()) {
    text += "; and " + std::to_string(diagnostics.size() - shown) + " more";
  }
  return text;
}

void ConfigReload::watch(std::function<void()> changed) {
  watch_ = std::make_unique<ConfigWatch>(agent_.config().files, std::move(changed));
}

void ConfigReload::run() {
  const auto begin = std::chrono::steady_clock::now();
  Status status;
  try {
    status = take();
  } catch (const std::exception& error) {  // out of configuration's parsers
    status = Error{0, error.what()};
  }
  ++number_;
  if (!status) {
    log(LogLevel::error, "the configuration is refused, the one before stays in force",
        {{"reload", number_}, {"error", status.error().message}});
    agent_.note_refusal(status.error().message);
    return;
  }
  if (watch_ != nullptr) watch_->watch(agent_.config().files);
  const auto took = std::chrono::steady_clock::now() - begin;
  log(LogLevel::info, "the configuration was reloaded",
      {{"reload", number_},
       {"took_ms", std::chrono::duration_cast<std::chrono::milliseconds>(took).count()}});
}

Status ConfigReload::take() {
  auto loaded = load_config(sources_);
  if (const auto* diagnostics = std::get_if<std::vector<Diagnostic>>(&loaded)) {
    return Error{0, text_of(*diagnostics)};
  }
  Config next = std::get<Config>(std::move(loaded));
  const std::vector<std::string> warnings = next.warnings;
  const bool other_warnings = warnings != agent_.config().warnings;
  if (Status changed = agent_.reload(std::move(next)); !changed) return changed;
  if (other_warnings) {
    for (const std::string& warning : warnings) {
      log(LogLevel::warn, "configuration", {{"reload", number_}, {"warning", warning}});
    }
  }
  return {};
}

}  // namespace holdfast
