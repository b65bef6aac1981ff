#include "agent/otlp_json.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>

#include "agent/otlp_json_reader.h"
#include "proto/otlp_tables.h"

namespace holdfast {
namespace {

// Memory for documents up to this size stays for the next one; the parser's own is 7 times that.
constexpr std::size_t kKeptDocumentBytesMax = 512 * 1024;
constexpr std::size_t kDocumentBytesMin = 16 * 1024;

}  // namespace

struct OtlpJsonParser::Impl {
  simdjson::ondemand::parser parser;
  std::unique_ptr<char[]> document;  // with simdjson's padding behind it
  std::size_t capacity = 0;          // of `document`, without the padding
  OtlpJsonReader reader;

  bool load(std::string_view json);
  Status convert(const otlp::Message& message, std::size_t size);
  Status error_at(const std::string& message, const char* place) const;
  void release_memory();
};

/// False: no memory for it.
bool OtlpJsonParser::Impl::load(std::string_view json) {
  if (json.size() > capacity) {
    const std::size_t wanted = std::max({json.size(), capacity * 2, kDocumentBytesMin});
    document = std::make_unique_for_overwrite<char[]>(wanted + simdjson::SIMDJSON_PADDING);
    capacity = wanted;
    if (parser.allocate(capacity) != simdjson::SUCCESS) return false;
  }
  std::memcpy(document.get(), json.data(), json.size());
  // The reader looks past the end of an unfinished document; what lies there must end it.
  std::memset(document.get() + json.size(), 0, simdjson::SIMDJSON_PADDING);
  return true;
}

Status OtlpJsonParser::Impl::convert(const otlp::Message& message, std::size_t size) {
  simdjson::ondemand::document root;
  const std::size_t allocated = capacity + simdjson::SIMDJSON_PADDING;
  if (const auto code = parser.iterate(document.get(), size, allocated).get(root)) {
    return error_at(simdjson::error_message(code), nullptr);
  }
  simdjson::ondemand::object object;
  if (const auto code = root.get_object().get(object)) {
    return error_at(
        code == simdjson::INCORRECT_TYPE ? "expect an object" : simdjson::error_message(code),
        nullptr);
  }
  if (!reader.read(object, message)) {
    const char* place = reader.error_place();
    if (place == nullptr && root.current_location().get(place) != simdjson::SUCCESS) {
      place = document.get() + size;
    }
    return error_at(reader.error(), place);
  }
  const char* place = nullptr;
  if (root.current_location().get(place) == simdjson::SUCCESS) {
    return error_at("more text after the end of the document", place);
  }
  return {};
}

Status OtlpJsonParser::Impl::error_at(const std::string& message, const char* place) const {
  if (place == nullptr) return Error{0, message};
  return Error{0,
               message + ", error found in #" + std::to_string(place - document.get()) + " byte"};
}

void OtlpJsonParser::Impl::release_memory() {
  parser = simdjson::ondemand::parser();
  document.reset();
  capacity = 0;
  reader.release_memory();
}

OtlpJsonParser::OtlpJsonParser() : impl_(std::make_unique<Impl>()) {}
OtlpJsonParser::~OtlpJsonParser() = default;

Status OtlpJsonParser::to_wire(Signal signal, std::string_view json, std::string& out) {
  if (json.empty()) return Error{0, "empty document"};
  if (!impl_->load(json)) {
    impl_->release_memory();
    return Error{0, "no memory for the document"};
  }
  Status status =
      impl_->convert(otlp::kMessages[otlp::kRequestMessages[index_of(signal)]], json.size());
  if (status) out.append(impl_->reader.wire_bytes());
  if (json.size() > kKeptDocumentBytesMax) impl_->release_memory();
  return status;
}

}  // namespace holdfast
