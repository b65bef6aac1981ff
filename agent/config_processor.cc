// processors: batch and memory_limiter.
#include <fmt/format.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "agent/config_parts.h"
#include "agent/config_values.h"

namespace holdfast {

namespace {

constexpr milliseconds kNotNegative{0};

/// The number in `path`; nothing for "max" or where there is no such file.
std::optional<std::uint64_t> limit_in(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  if (!(file >> word)) return std::nullopt;
  const auto value = parse_integer(word);
  if (!value || *value <= 0) return std::nullopt;
  return static_cast<std::uint64_t>(*value);
}

/// Not from /proc/meminfo: a sandbox may hide it.
std::uint64_t machine_memory_bytes() {
  struct sysinfo info {};
  return sysinfo(&info) == 0 ? std::uint64_t{info.totalram} * info.mem_unit : 0;
}

void read_batch(const ComponentId& id, const Value& value, Declared& declared) {
  BatchConfig batch;
  batch.timeout = milliseconds(200);
  std::uint64_t items_max = 0;
  const auto metadata = "requests are merged whoever sent them";
  read_section(value, {
                          {"send_batch_size", integer(batch.items_target, {})},
                          {"send_batch_max_size", integer(items_max, {})},
                          {"timeout", duration(batch.timeout, kNotNegative)},
                          {"metadata_keys", refused_unless_off(metadata)},
                          {"metadata_cardinality_limit", no_effect(metadata)},
                      });
  if (items_max != 0 && items_max < batch.items_target) {
    value.fail_at("send_batch_max_size",
                  fmt::format("must not be less than send_batch_size ({})", batch.items_target));
  }
  batch.items_max = items_max != 0 ? items_max : batch.items_target;
  if (batch.items_max == 0) batch.items_max = BatchConfig().items_max;
  declared.processors.push_back({id.id, batch, std::nullopt});
}

struct MemoryLimits {
  milliseconds check_interval{0};
  std::uint64_t limit_mib = 0;
  std::uint64_t spike_limit_mib = 0;
  std::uint64_t limit_percentage = 0;
  std::uint64_t spike_limit_percentage = 0;
};

/// The Collector's rule: what is below limit less spike is free to use.
std::uint64_t soft_limit_bytes(const Value& value, const MemoryLimits& limits) {
  if (limits.limit_mib == 0 && limits.limit_percentage == 0) {
    for (const char* name : {"limit_mib", "limit_percentage"}) {
      const Member* member = value.node.find(name);
      // A number that is no good has been complained about.
      if (member != nullptr && !member->value.text.empty() && member->value.text != "0") return 0;
    }
    value.fail_at("limit_mib", "limit_mib or limit_percentage must be set", "as in limit_mib: 256");
    return 0;
  }
  if (limits.limit_mib != 0) {
    const std::uint64_t limit = limits.limit_mib << 20;
    const std::uint64_t spike =
        limits.spike_limit_mib != 0 ? limits.spike_limit_mib << 20 : limit / 5;
    if (spike >= limit) {
      value.fail_at("spike_limit_mib",
                    fmt::format("must be less than limit_mib ({})", limits.limit_mib));
      return 0;
    }
    return limit - spike;
  }
  const std::uint64_t spike = limits.spike_limit_percentage != 0 ? limits.spike_limit_percentage
                                                                 : limits.limit_percentage / 5;
  if (spike >= limits.limit_percentage) {
    value.fail_at("spike_limit_percentage",
                  fmt::format("must be less than limit_percentage ({})", limits.limit_percentage));
    return 0;
  }
  return memory_total_bytes() / 100 * (limits.limit_percentage - spike);
}

void read_memory_limiter(const ComponentId& id, const Value& value, Declared& declared) {
  constexpr std::int64_t kMibMax = 1LL << 40;
  MemoryLimits limits;
  const auto collection = "there is no garbage collection";
  read_section(value,
               {
                   {"check_interval", duration(limits.check_interval, kNotNegative)},
                   {"limit_mib", integer(limits.limit_mib, {0, kMibMax})},
                   {"spike_limit_mib", integer(limits.spike_limit_mib, {0, kMibMax})},
                   {"limit_percentage", integer(limits.limit_percentage, {0, 100})},
                   {"spike_limit_percentage", integer(limits.spike_limit_percentage, {0, 100})},
                   {"min_gc_interval_when_soft_limited", no_effect(collection)},
                   {"min_gc_interval_when_hard_limited", no_effect(collection)},
                   {"max_gc_interval_when_soft_limited", no_effect(collection)},
                   {"max_gc_interval_when_hard_limited", no_effect(collection)},
               });
  if (limits.check_interval.count() == 0) {
    value.fail_at("check_interval", "must be greater than zero", "as in check_interval: 1s");
  }
  declared.processors.push_back({id.id, std::nullopt, soft_limit_bytes(value, limits)});
}

}  // namespace

std::uint64_t memory_total_bytes() {
  std::uint64_t total = machine_memory_bytes();
  const auto narrow = [&total](const std::string& path) {
    if (const auto limit = limit_in(path)) total = total == 0 ? *limit : std::min(total, *limit);
  };
  narrow("/sys/fs/cgroup/memory/memory.limit_in_bytes");
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, 3, "0::") != 0) continue;
    // Every group above counts too.
    for (std::string group = line.substr(3);; group.resize(group.rfind('/'))) {
      if (group == "/") group.clear();
      narrow("/sys/fs/cgroup" + group + "/memory.max");
      if (group.find('/') == std::string::npos) break;
    }
  }
  return total;
}

void read_processors(const Value& section, Declared& declared) {
  declared.processor_ids = read_components(
      section, "processor",
      {{"batch", [&](const ComponentId& id, const Value& v) { read_batch(id, v, declared); }},
       {"memory_limiter",
        [&](const ComponentId& id, const Value& v) { read_memory_limiter(id, v, declared); }}});
}

}  // namespace holdfast
