// Protobuf messages filled at random, for tests that hold our code against protobuf's. The same
// seed gives the same message. Not thread-safe.
#pragma once

#include <google/protobuf/message.h>

#include <cstdint>
#include <iterator>
#include <limits>
#include <random>
#include <string>

namespace holdfast {

/// Fills messages with values at random, those at the edges more often than not.
class RandomMessage {
 public:
  explicit RandomMessage(std::uint32_t seed) : random_(seed) {}

  void fill(google::protobuf::Message& message, int depth) {
    const auto* descriptor = message.GetDescriptor();
    for (int i = 0; i < descriptor->field_count(); ++i) {
      const google::protobuf::FieldDescriptor& field = *descriptor->field(i);
      if (below(3) == 0) continue;
      if (field.message_type() != nullptr && depth == 0) continue;
      const int count = field.is_repeated() ? below(4) : 1;
      for (int n = 0; n < count; ++n) add(message, field, depth);
    }
  }

 private:
  int below(int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(random_); }

  std::uint64_t number() {
    constexpr std::uint64_t kEdges[] = {0,         1,          127,        128,
                                        1U << 31U, UINT32_MAX, UINT64_MAX, std::uint64_t{1} << 63U,
                                        INT64_MAX, INT32_MAX};
    return below(3) == 0 ? std::uniform_int_distribution<std::uint64_t>()(random_)
                         : kEdges[below(std::size(kEdges))];
  }

  double real() {
    constexpr double kEdges[] = {0.0,
                                 -0.0,
                                 0.1,
                                 1e300,
                                 std::numeric_limits<double>::denorm_min(),
                                 std::numeric_limits<double>::max(),
                                 std::numeric_limits<double>::infinity(),
                                 -std::numeric_limits<double>::infinity(),
                                 std::numeric_limits<double>::quiet_NaN()};
    return below(2) == 0 ? std::uniform_real_distribution<double>(-1e6, 1e6)(random_)
                         : kEdges[below(std::size(kEdges))];
  }

  std::string text() {
    constexpr const char* kEdges[] = {
        "", "a", "日本語", "\U0001F600 \u00FC", "\"quoted\\\"", "\x01\n\t/", "<&>", "{\"a\":[1]}"};
    return below(4) == 0 ? std::string(static_cast<std::size_t>(below(300)), 'x')
                         : kEdges[below(std::size(kEdges))];
  }

  std::string bytes(const std::string& name) {
    std::size_t size = static_cast<std::size_t>(below(20));
    if (name == "trace_id" || name == "profile_id") size = below(4) == 0 ? 0 : 16;
    if (name == "span_id" || name == "parent_span_id") size = below(4) == 0 ? 0 : 8;
    std::string result(size, '\0');
    for (char& byte : result) byte = static_cast<char>(below(256));
    return result;
  }

  void add(google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field,
           int depth);

  std::mt19937 random_;
};

inline void RandomMessage::add(google::protobuf::Message& message,
                               const google::protobuf::FieldDescriptor& field, int depth) {
  const auto& set = *message.GetReflection();
  const bool many = field.is_repeated();
  const auto put = [&](auto setter, auto adder, auto value) {
    many ? (set.*adder)(&message, &field, value) : (set.*setter)(&message, &field, value);
  };
  using R = google::protobuf::Reflection;
  using google::protobuf::FieldDescriptor;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return put(&R::SetInt32, &R::AddInt32, static_cast<std::int32_t>(number()));
    case FieldDescriptor::CPPTYPE_INT64:
      return put(&R::SetInt64, &R::AddInt64, static_cast<std::int64_t>(number()));
    case FieldDescriptor::CPPTYPE_UINT32:
      return put(&R::SetUInt32, &R::AddUInt32, static_cast<std::uint32_t>(number()));
    case FieldDescriptor::CPPTYPE_UINT64:
      return put(&R::SetUInt64, &R::AddUInt64, number());
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return put(&R::SetDouble, &R::AddDouble, real());
    case FieldDescriptor::CPPTYPE_BOOL:
      return put(&R::SetBool, &R::AddBool, below(2) == 0);
    case FieldDescriptor::CPPTYPE_ENUM:
      return put(&R::SetEnumValue, &R::AddEnumValue,
                 below(4) == 0
                     ? below(1000)
                     : field.enum_type()->value(below(field.enum_type()->value_count()))->number());
    case FieldDescriptor::CPPTYPE_STRING:
      return put(&R::SetString, &R::AddString,
                 field.type() == FieldDescriptor::TYPE_BYTES ? bytes(field.name()) : text());
    default:
      return fill(many ? *set.AddMessage(&message, &field) : *set.MutableMessage(&message, &field),
                  depth - 1);
  }
}

}  // namespace holdfast
