// What the SDKs sent, from tests/golden/payloads. Thread safety: pure functions.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "proto/signal.h"

namespace holdfast::reference {

struct Payload {
  std::string name;
  Signal signal;
  std::string bytes;
};

inline std::vector<Payload> real_payloads() {
  std::vector<Payload> payloads;
  const std::filesystem::path root = std::filesystem::path(HOLDFAST_GOLDEN_DIR) / "payloads";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".pb") continue;
    const std::string file = entry.path().filename().string();
    const auto signal = signal_from_name(file.substr(0, file.find('-')));
    if (!signal) continue;
    std::ifstream stream(entry.path(), std::ios::binary);
    payloads.push_back({entry.path().parent_path().filename().string() + "/" + file,
                        *signal,
                        {std::istreambuf_iterator<char>(stream), {}}});
  }
  std::sort(payloads.begin(), payloads.end(),
            [](const Payload& a, const Payload& b) { return a.name < b.name; });
  return payloads;
}

}  // namespace holdfast::reference
