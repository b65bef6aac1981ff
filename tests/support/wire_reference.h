// Two judges of wire bytes for the tests of the walker, slow and simple: protobuf's own parser, and
// the rules of the Collector's decoder written out over protobuf's descriptors. Neither uses the
// walker's tables. Thread safety: pure functions.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/stubs/logging.h>

#include <cctype>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "proto/logs_service.pb.h"
#include "proto/metrics_service.pb.h"
#include "proto/profiles_service.pb.h"
#include "proto/signal.h"
#include "proto/trace_service.pb.h"

namespace holdfast::reference {

namespace pb = google::protobuf;

inline std::unique_ptr<pb::Message> new_request(Signal signal) {
  namespace collector = opentelemetry::proto::collector;
  switch (signal) {
    case Signal::traces:
      return std::make_unique<collector::trace::v1::ExportTraceServiceRequest>();
    case Signal::metrics:
      return std::make_unique<collector::metrics::v1::ExportMetricsServiceRequest>();
    case Signal::logs:
      return std::make_unique<collector::logs::v1::ExportLogsServiceRequest>();
    case Signal::profiles:
      break;
  }
  return std::make_unique<collector::profiles::v1development::ExportProfilesServiceRequest>();
}

/// The generated parser, which refuses strings that are not UTF-8.
inline bool protobuf_parses(Signal signal, std::string_view bytes) {
  const pb::LogSilencer no_line_for_each_bad_string;
  return new_request(signal)->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

/// The same messages with every string turned into bytes: protobuf's parser, UTF-8 apart.
class LenientMessages {
 public:
  LenientMessages() {
    for (const Signal signal : kSignals) {
      const pb::Descriptor* const type = new_request(signal)->GetDescriptor();
      add(type->file());
      prototypes_[index_of(signal)] =
          factory_.GetPrototype(pool_.FindMessageTypeByName(type->full_name()));
    }
  }
  bool parses(Signal signal, std::string_view bytes) const {
    const std::unique_ptr<pb::Message> message(prototypes_[index_of(signal)]->New());
    return message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  }

 private:
  void add(const pb::FileDescriptor* file) {
    if (pool_.FindFileByName(file->name()) != nullptr) return;
    for (int i = 0; i < file->dependency_count(); ++i) add(file->dependency(i));
    pb::FileDescriptorProto copy;
    file->CopyTo(&copy);
    for (pb::DescriptorProto& type : *copy.mutable_message_type()) loosen(type);
    pool_.BuildFile(copy);
  }
  static void loosen(pb::DescriptorProto& type) {
    for (pb::FieldDescriptorProto& field : *type.mutable_field()) {
      if (field.type() == pb::FieldDescriptorProto::TYPE_STRING) {
        field.set_type(pb::FieldDescriptorProto::TYPE_BYTES);
      }
    }
    for (pb::DescriptorProto& nested : *type.mutable_nested_type()) loosen(nested);
  }

  pb::DescriptorPool pool_;
  pb::DynamicMessageFactory factory_{&pool_};
  const pb::Message* prototypes_[kSignalCount] = {};
};

inline bool protobuf_parses_any_text(Signal signal, std::string_view bytes) {
  static const LenientMessages messages;
  return messages.parses(signal, bytes);
}

/// What the Collector says, and what it counts. `error` is empty where it takes the bytes.
struct CollectorVerdict {
  std::string error;
  std::uint32_t items = 0;
};

/// The rules of the Collector's decoder (pdata 1.65; profiles: 1.68), one field after the other,
/// depth first.
class CollectorDecoder {
 public:
  static CollectorVerdict judge(Signal signal, std::string_view bytes) {
    CollectorDecoder decoder;
    decoder.message(new_request(signal)->GetDescriptor(), bytes);
    return {decoder.error_, decoder.error_.empty() ? decoder.items_ : 0};
  }

 private:
  /// A cursor over one message: the Collector's reader sees no byte outside of it.
  struct Input {
    std::string_view bytes;
    std::size_t at = 0;
  };

  void message(const pb::Descriptor* type, std::string_view bytes) {
    Input input{bytes};
    std::uint32_t old_items = 0;
    bool has_scopes = false;
    while (error_.empty() && input.at < bytes.size()) {
      const std::uint64_t tag = this->tag(input);
      if (!error_.empty()) return;
      const auto number = static_cast<std::int32_t>(tag >> 3);
      const auto wire_type = static_cast<int>(tag & 7);
      const pb::FieldDescriptor* const known = type->FindFieldByNumber(number);
      if (is_resource_list(type) && number == 1000) {
        const std::uint32_t before = items_;
        old_scopes(type, wire_type, input);
        old_items += items_ - before;
        items_ = before;
      } else if (known == nullptr) {
        unknown(wire_type, input);
      } else {
        has_scopes |= is_resource_list(type) && number == 2;
        field(known, wire_type, input);
      }
    }
    if (is_resource_list(type) && !has_scopes) items_ += old_items;
  }

  static bool is_resource_list(const pb::Descriptor* type) {
    return type->name() == "ResourceSpans" || type->name() == "ResourceMetrics" ||
           type->name() == "ResourceLogs";
  }

  void old_scopes(const pb::Descriptor* type, int wire_type, Input& input) {
    const pb::FieldDescriptor* const scopes = type->FindFieldByNumber(2);
    if (wire_type != 2) return wrong_type(wire_type, "Deprecated" + go_name(scopes));
    const std::string_view value = length_delimited(input);
    if (error_.empty()) message(scopes->message_type(), value);
  }

  void field(const pb::FieldDescriptor* known, int wire_type, Input& input) {
    const int wanted = wire_type_of(known);
    if (known->is_repeated() && known->is_packable() && wire_type == 2) {
      return packed(known, wanted, length_delimited(input));
    }
    if (wire_type != wanted) return wrong_type(wire_type, go_name(known));
    if (wanted == 0) {
      varint(input);
    } else if (wanted == 1) {
      fixed(input, 8);
    } else if (wanted == 5) {
      fixed(input, 4);
    } else {
      const std::string_view value = length_delimited(input);
      if (!error_.empty()) return;
      if (known->message_type() != nullptr) {
        if (is_item(known->message_type())) ++items_;
        message(known->message_type(), value);
      } else if (known->name() == "trace_id") {
        if (!value.empty() && value.size() != 16) error_ = "unmarshal: invalid TraceID length";
      } else if (known->name() == "profile_id") {
        if (!value.empty() && value.size() != 16) error_ = "unmarshal: invalid ProfileID length";
      } else if (known->name() == "span_id" || known->name() == "parent_span_id") {
        if (!value.empty() && value.size() != 8) error_ = "unmarshal: invalid SpanID length";
      }
    }
  }

  static bool is_item(const pb::Descriptor* type) {
    return type->name() == "Span" || type->name() == "LogRecord" || type->name() == "Sample" ||
           type->name().ends_with("DataPoint");
  }

  void packed(const pb::FieldDescriptor* known, int wire_type, std::string_view value) {
    if (!error_.empty()) return;
    if (wire_type == 1) {
      if (value.size() % 8 != 0) {
        error_ = "proto: invalid field len = " + std::to_string(value.size() % 8) + " for field " +
                 go_name(known);
      }
      return;
    }
    for (Input input{value}; error_.empty() && input.at < value.size();) varint(input);
  }

  void unknown(int wire_type, Input& input) {
    // A group ends for the Collector at the first field in it, or where its last level closes; its
    // loop never looks at what closes at the very end of the message.
    for (int depth = 0; input.at < input.bytes.size();) {
      switch (wire_type) {
        case 0:
          varint(input);
          return;
        case 1:
          return fixed(input, 8);
        case 2:
          length_delimited(input);
          return;
        case 3:
          ++depth;
          break;
        case 4:
          if (depth == 0) {
            error_ = "proto: unexpected end of group";
            return;
          }
          --depth;
          break;
        case 5:
          return fixed(input, 4);
        default:
          error_ = "proto: illegal wireType " + std::to_string(wire_type);
          return;
      }
      if (depth == 0) return;
      wire_type = static_cast<int>(tag(input) & 7);
      if (!error_.empty()) return;
    }
    end_of_input();
  }

  std::uint64_t tag(Input& input) {
    const std::uint64_t tag = varint(input);
    if (!error_.empty()) return 0;
    const auto number = static_cast<std::int32_t>(tag >> 3);
    if (number <= 0) {
      error_ = "proto: Link: illegal field=" + std::to_string(number) +
               " (tag=" + std::to_string(tag) + ", pos=" + std::to_string(input.at) + ")";
    }
    return tag;
  }

  std::uint64_t varint(Input& input) {
    std::uint64_t value = 0;
    for (int i = 0; i < 10; ++i) {
      if (input.at >= input.bytes.size()) {
        end_of_input();
        return 0;
      }
      const auto byte = static_cast<unsigned char>(input.bytes[input.at++]);
      value |= std::uint64_t{byte & 0x7FU} << (7 * i);
      if (byte < 0x80) return value;
    }
    error_ = "proto: integer overflow";
    return 0;
  }

  void fixed(Input& input, std::size_t size) {
    if (input.bytes.size() - input.at < size) return end_of_input();
    input.at += size;
  }

  std::string_view length_delimited(Input& input) {
    const std::uint64_t length = varint(input);
    if (!error_.empty()) return {};
    if (length > static_cast<std::uint64_t>(INT64_MAX)) {
      error_ = "proto: negative length found during unmarshaling";
      return {};
    }
    if (length > input.bytes.size() - input.at) {
      end_of_input();
      return {};
    }
    const std::string_view value = input.bytes.substr(input.at, length);
    input.at += length;
    return value;
  }

  static int wire_type_of(const pb::FieldDescriptor* field) {
    switch (field->type()) {
      case pb::FieldDescriptor::TYPE_DOUBLE:
      case pb::FieldDescriptor::TYPE_FIXED64:
      case pb::FieldDescriptor::TYPE_SFIXED64:
        return 1;
      case pb::FieldDescriptor::TYPE_FLOAT:
      case pb::FieldDescriptor::TYPE_FIXED32:
      case pb::FieldDescriptor::TYPE_SFIXED32:
        return 5;
      case pb::FieldDescriptor::TYPE_STRING:
      case pb::FieldDescriptor::TYPE_BYTES:
      case pb::FieldDescriptor::TYPE_MESSAGE:
        return 2;
      default:
        return 0;
    }
  }

  static std::string go_name(const pb::FieldDescriptor* field) {
    std::string name = field->camelcase_name();
    name[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(name[0])));
    return name;
  }

  void wrong_type(int wire_type, const std::string& name) {
    error_ = "proto: wrong wireType = " + std::to_string(wire_type) + " for field " + name;
  }
  void end_of_input() { error_ = "unexpected EOF"; }

  std::string error_;
  std::uint32_t items_ = 0;
};

}  // namespace holdfast::reference
