// The files that the real disk-buffering library wrote, from tests/golden/java-disk-buffering.
// Thread safety: pure functions.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "proto/signal.h"

namespace holdfast::reference {

struct JavaFile {
  std::string name;  // "spans/1795248604336"
  Signal signal;
  std::string bytes;
};

inline std::vector<JavaFile> golden_java_files() {
  std::vector<JavaFile> files;
  const std::filesystem::path root =
      std::filesystem::path(HOLDFAST_GOLDEN_DIR) / "java-disk-buffering";
  const std::vector<std::pair<std::string, Signal>> folders{
      {"spans", Signal::traces}, {"metrics", Signal::metrics}, {"logs", Signal::logs}};
  for (const auto& [folder, signal] : folders) {
    for (const auto& entry : std::filesystem::directory_iterator(root / folder)) {
      std::ifstream stream(entry.path(), std::ios::binary);
      files.push_back({folder + "/" + entry.path().filename().string(),
                       signal,
                       {std::istreambuf_iterator<char>(stream), {}}});
    }
  }
  std::sort(files.begin(), files.end(),
            [](const JavaFile& a, const JavaFile& b) { return a.name < b.name; });
  return files;
}

}  // namespace holdfast::reference
