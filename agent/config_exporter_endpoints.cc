// exporters: several endpoints of one, for otlp_http and otlp_grpc. Keys of our own.
#include <fmt/format.h>

#include <algorithm>

#include "agent/config_exporter.h"
#include "agent/config_values.h"

namespace holdfast {

Reader endpoint_strategy(EndpointStrategy& out) {
  return choice({"failover", "round_robin"}, [&out](std::size_t i) {
    out = i == 0 ? EndpointStrategy::failover : EndpointStrategy::round_robin;
  });
}

Reader endpoint_list(std::function<void(const Value&, std::vector<std::string>&)> one,
                     std::vector<std::string>& out) {
  return [one = std::move(one), &out](const Value& value) {
    if (value.is_null()) return;
    if (value.node.kind != Node::Kind::sequence || value.node.items.empty()) {
      return value.fail("must be a list of endpoints");
    }
    for (const Node& item : value.node.items) {
      const Value endpoint{item, value.key, value.findings};
      const std::size_t before = out.size();
      one(endpoint, out);
      if (out.size() == before) continue;
      if (std::find(out.begin(), out.end() - 1, out.back()) != out.end() - 1) {
        endpoint.fail(fmt::format("{} stands here twice", quoted(out.back())));
      }
    }
  };
}

void check_endpoints(const Value& exporter, const std::vector<std::string>& others) {
  if (exporter.node.find("endpoints") == nullptr) {
    if (exporter.node.find("endpoint_strategy") == nullptr) return;
    return exporter.fail_at("endpoint_strategy", "needs a list of endpoints",
                            "as in endpoints: [a, b]");
  }
  for (const std::string& other : others) {
    if (exporter.node.find(other) == nullptr) continue;
    exporter.fail_at(other, "stands beside endpoints: one of them");
  }
}

}  // namespace holdfast
