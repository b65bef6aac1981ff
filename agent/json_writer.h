// Writes one JSON document (RFC 8259) from the outside in; strings may hold anything.
//
// Not thread-safe. Commas and quotes are its business, the pairing of begin and end its caller's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast {

class JsonWriter {
 public:
  /// The name of the member whose value comes next.
  JsonWriter& key(std::string_view name);

  void begin_object() { open('{'); }
  void end_object() { close('}'); }
  void begin_array() { open('['); }
  void end_array() { close(']'); }

  void string(std::string_view value);
  void number(std::uint64_t value);
  void seconds(double value);  // with milliseconds; null when it is not finite
  void boolean(bool value);
  void null();

  const std::string& text() const { return text_; }

 private:
  void open(char bracket);
  void close(char bracket);
  void separate();

  std::string text_;
  bool first_ = true;  // nothing stands before in this object or array
};

}  // namespace holdfast
