// What an OTLP answer says: the partial success of an Export*ServiceResponse, the message of a
// google.rpc.Status, each as protobuf or JSON.
//
// Source: OTLP specification 1.x, "Partial Success" and "Failures"; the three responses have the
// same field numbers. Thread safety: pure functions. Any bytes may come in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

enum class AnswerEncoding : std::uint8_t { other, protobuf, json };

/// From a Content-Type, parameters allowed.
AnswerEncoding answer_encoding(std::string_view content_type);

struct PartialSuccess {
  std::uint64_t rejected_items = 0;
  std::string message;
};

/// Nothing when the body has none, says that all is well, or cannot be read.
std::optional<PartialSuccess> read_partial_success(AnswerEncoding encoding, std::string_view body);

/// The message of a Status; "" when there is none.
std::string read_status_message(AnswerEncoding encoding, std::string_view body);

}  // namespace holdfast
