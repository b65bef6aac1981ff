// The words for what the walker found.
#include "agent/wire_walker.h"

namespace holdfast {

std::string describe(const WalkResult& result) {
  switch (result.error) {
    case WalkError::none:
      return "";
    case WalkError::truncated:
      return "unexpected EOF";
    case WalkError::bad_varint:
      return "proto: integer overflow";
    case WalkError::bad_length:
      return "proto: negative length found during unmarshaling";
    case WalkError::long_length:
      return "proto: length of more than five bytes";
    case WalkError::long_tag:
      return "proto: tag of more than 32 bits";
    case WalkError::bad_field_number:
      return "proto: Link: illegal field=" +
             std::to_string(static_cast<std::int32_t>(result.tag >> 3)) +
             " (tag=" + std::to_string(result.tag) + ", pos=" + std::to_string(result.position) +
             ")";
    case WalkError::bad_wire_type:
      return "proto: wrong wireType = " + std::to_string(result.wire_type) + " for field " +
             result.field;
    case WalkError::illegal_wire_type:
      return "proto: illegal wireType " + std::to_string(result.wire_type);
    case WalkError::bad_group:
      return "proto: unexpected end of group";
    case WalkError::bad_packed_length:
      return "proto: invalid field len = " + std::to_string(result.left_over) + " for field " +
             result.field;
    case WalkError::bad_trace_id:
      return "unmarshal: invalid TraceID length";
    case WalkError::bad_span_id:
      return "unmarshal: invalid SpanID length";
    case WalkError::bad_profile_id:
      return "unmarshal: invalid ProfileID length";
    case WalkError::too_deep:
      return "proto: more than 100 levels";
  }
  return "";
}

}  // namespace holdfast
