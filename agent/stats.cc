#include "agent/stats.h"

namespace holdfast {

std::string_view name_of(UpstreamState state) {
  switch (state) {
    case UpstreamState::idle:
      return "idle";
    case UpstreamState::ok:
      return "ok";
    case UpstreamState::retrying:
      return "retrying";
    case UpstreamState::holding:
      return "holding";
  }
  return "unknown";
}

}  // namespace holdfast
