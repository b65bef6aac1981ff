// Reads the configuration again and has the agent go by it; what is wrong with it is told, and
// changes nothing.
//
// Owned by main; all calls on its thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "agent/agent.h"
#include "agent/config.h"
#include "agent/config_watch.h"

namespace holdfast {

class ConfigReload {
 public:
  /// `agent` must outlive it.
  ConfigReload(ConfigSources sources, Agent& agent) : sources_(std::move(sources)), agent_(agent) {}

  /// Calls `changed`, on a thread of its own, when one of the files has changed.
  void watch(std::function<void()> changed);

  /// Files, environment and --set are read again.
  void run();

 private:
  Status take();

  const ConfigSources sources_;
  Agent& agent_;
  std::uint64_t number_ = 0;
  std::unique_ptr<ConfigWatch> watch_;
};

/// All of it in one line: "agent.yaml:3:5: …; agent.yaml:9:1: …".
std::string text_of(const std::vector<Diagnostic>& diagnostics);

}  // namespace holdfast
