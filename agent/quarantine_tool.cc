#include "agent/quarantine_tool.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <iomanip>
#include <ostream>

#include "agent/buffer_tool_files.h"
#include "agent/json_writer.h"
#include "agent/log_text.h"
#include "agent/otlp_json_writer.h"
#include "agent/quarantine_tool_entry.h"
#include "agent/quarantine_tool_select.h"
#include "agent/time_text.h"
#include "buffer/clock.h"

namespace holdfast {
namespace {

constexpr std::size_t kShownMessageBytes = 80;
constexpr std::size_t kHexBytesPerLine = 16;

std::string time_of(const QuarantinedFile& entry) { return rfc3339_nano(entry.unix_ms * kNsPerMs); }

/// One line whatever is in it: an upstream wrote it.
std::string one_line(std::string_view text, std::size_t bytes_max) {
  std::string quoted;
  append_json_string(text.substr(0, bytes_max), quoted);
  return quoted.substr(1, quoted.size() - 2) + (text.size() > bytes_max ? "…" : "");
}

void print_table(const std::vector<QuarantinedFile>& entries, std::ostream& out) {
  if (entries.empty()) return;
  std::size_t id_width = 2;
  std::size_t exporter_width = 8;
  for (const QuarantinedFile& entry : entries) {
    id_width = std::max(id_width, entry.file.size());
    exporter_width = std::max(exporter_width, entry.exporter.size());
  }
  const auto row = [&](std::string_view signal, std::string_view id, std::string_view time,
                       std::string_view exporter, std::string_view reason, std::string_view status,
                       std::string_view items, std::string_view bytes, std::string_view message) {
    out << std::left << std::setw(9) << signal << std::setw(static_cast<int>(id_width) + 2) << id
        << std::setw(26) << time << std::setw(static_cast<int>(exporter_width) + 2) << exporter
        << std::setw(12) << reason << std::right << std::setw(6) << status << std::setw(8) << items
        << std::setw(10) << bytes << "  " << message << "\n";
  };
  row("SIGNAL", "ID", "TIME", "EXPORTER", "REASON", "STATUS", "ITEMS", "BYTES", "MESSAGE");
  for (const QuarantinedFile& entry : entries) {
    row(name_of(entry.signal), entry.file, time_of(entry),
        entry.exporter.empty() ? "-" : entry.exporter, entry.reason,
        entry.status == 0 ? "-" : std::to_string(entry.status), std::to_string(entry.items),
        std::to_string(entry.bytes), one_line(entry.message, kShownMessageBytes));
  }
}

void print_json(const QuarantinedFile& entry, std::ostream& out) {
  JsonWriter json;
  json.begin_object();
  json.key("signal").string(name_of(entry.signal));
  json.key("id").string(entry.file);
  json.key("seq").number(entry.seq);
  json.key("request").number(entry.request);
  json.key("time").string(time_of(entry));
  json.key("exporter").string(entry.exporter);
  json.key("reason").string(entry.reason);
  json.key("status").number(static_cast<std::uint64_t>(entry.status));
  json.key("items").number(entry.items);
  json.key("bytes").number(entry.bytes);
  json.key("message").string(entry.message);
  json.end_object();
  out << json.text() << "\n";
}

void print_hex(std::string_view bytes, std::ostream& out) {
  std::array<char, 32> text{};
  for (std::size_t at = 0; at < bytes.size(); at += kHexBytesPerLine) {
    const std::string_view line = bytes.substr(at, kHexBytesPerLine);
    std::snprintf(text.data(), text.size(), "%08zx ", at);
    out << text.data();
    for (std::size_t i = 0; i < kHexBytesPerLine; ++i) {
      if (i % 8 == 0) out << ' ';
      const auto byte = i < line.size() ? static_cast<unsigned char>(line[i]) : 0U;
      std::snprintf(text.data(), text.size(), i < line.size() ? "%02x " : "   ", byte);
      out << text.data();
    }
    out << " |";
    for (const char c : line) out << (c >= ' ' && c < 0x7F ? c : '.');
    out << "|\n";
  }
}

void print_facts(const QuarantinedFile& entry, std::ostream& err) {
  err << name_of(entry.signal) << " " << entry.file << "\n  time:     " << time_of(entry)
      << "\n  exporter: " << (entry.exporter.empty() ? "-" : entry.exporter)
      << "\n  reason:   " << entry.reason;
  if (entry.status != 0) err << ", status " << entry.status;
  err << "\n  message:  " << one_line(entry.message, entry.message.size())
      << "\n  holds:    " << counted(entry.items, "item") << ", " << entry.bytes << " bytes\n";
  if (!entry.is_complete()) {
    err << "  cut off:  only " << entry.content_length << " bytes are here\n";
  }
}

}  // namespace

int list_quarantine(const QuarantineSelection& selection, bool json, ToolContext& context) {
  const auto entries = select_quarantined(selection, context);
  if (!entries) return kToolDamage;
  if (json) {
    for (const QuarantinedFile& entry : *entries) print_json(entry, context.out);
    return kToolOk;
  }
  print_table(*entries, context.out);
  std::uint64_t items = 0;
  for (const QuarantinedFile& entry : *entries) items += entry.items;
  context.err << counted(entries->size(), "entry") << " with " << counted(items, "item")
              << " in quarantine\n";
  return kToolOk;
}

int show_quarantine(const QuarantineSelection& selection, bool raw, ToolContext& context) {
  const auto entries = select_quarantined(selection, context);
  if (!entries) return kToolDamage;
  OtlpJsonWriter writer;
  int code = kToolOk;
  for (const QuarantinedFile& entry : *entries) {
    const auto bytes = read_content(entry);
    if (!bytes) {
      if (bytes.error().code == ENOENT) continue;
      context.err << bytes.error().message << "\n";
      code = kToolDamage;
      continue;
    }
    print_facts(entry, context.err);
    std::string json;
    if (raw) {
      context.out.write(bytes->data(), static_cast<std::streamsize>(bytes->size()));
    } else if (entry.is_request() && writer.write(entry.signal, *bytes, json).ok()) {
      context.out << json << "\n";
    } else {
      print_hex(*bytes, context.out);
    }
  }
  return code;
}

int discard_quarantine(const QuarantineSelection& selection, bool yes, ToolContext& context) {
  const auto entries = select_quarantined(selection, context);
  if (!entries) return kToolDamage;
  std::uint64_t items = 0;
  for (const QuarantinedFile& entry : *entries) items += entry.items;
  const std::string what = counted(entries->size(), "entry") + " with " + counted(items, "item");
  if (entries->empty()) {
    context.err << "the quarantine is empty\n";
    return kToolOk;
  }
  if (!yes && !context.can_ask) {
    context.err << "Delete " << what << "? Nothing was deleted: say --yes\n";
    return kToolUsage;
  }
  if (!yes && !confirm(context, "Delete " + what + "?")) {
    context.err << "nothing was deleted\n";
    return context.stop.stop_requested() ? kToolInterrupted : kToolOk;
  }
  int code = kToolOk;
  for (const QuarantinedFile& entry : *entries) {
    const Status gone = posix_filesystem().unlink(entry.path);
    if (gone || gone.error().code == ENOENT) {
      context.out << "discarded " << name_of(entry.signal) << " " << entry.file << "\n";
    } else {
      context.err << gone.error().message << "\n";
      code = kToolDamage;
    }
  }
  return code;
}

}  // namespace holdfast
