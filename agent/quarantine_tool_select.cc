#include "agent/quarantine_tool_select.h"

#include <algorithm>
#include <charconv>
#include <ostream>

#include "agent/buffer_tool_files.h"

namespace holdfast {
namespace {

bool has_id(const QuarantinedFile& entry, const std::string& id) {
  if (entry.file == id) return true;
  std::uint64_t seq = 0;
  const char* const end = id.data() + id.size();
  const auto [stop, error] = std::from_chars(id.data(), end, seq);
  return error == std::errc() && stop == end && entry.seq == seq;
}

}  // namespace

std::optional<std::vector<QuarantinedFile>> select_quarantined(const QuarantineSelection& selection,
                                                               ToolContext& context) {
  if (!is_buffer_directory(selection.directory, context)) return std::nullopt;
  std::vector<QuarantinedFile> entries = read_quarantine(selection.directory, selection.signal);
  if (selection.ids.empty()) return entries;
  for (const std::string& id : selection.ids) {
    std::vector<Signal> signals;
    for (const QuarantinedFile& entry : entries) {
      if (has_id(entry, id) &&
          std::find(signals.begin(), signals.end(), entry.signal) == signals.end()) {
        signals.push_back(entry.signal);
      }
    }
    if (signals.empty()) {
      context.err << "no entry " << id << " is in quarantine: holdfast quarantine ls lists them\n";
      return std::nullopt;
    }
    if (signals.size() > 1) {
      context.err << id << " is in quarantine for several signals: say --signal\n";
      return std::nullopt;
    }
  }
  std::erase_if(entries, [&](const QuarantinedFile& entry) {
    return std::none_of(selection.ids.begin(), selection.ids.end(),
                        [&](const std::string& id) { return has_id(entry, id); });
  });
  return entries;
}

}  // namespace holdfast
