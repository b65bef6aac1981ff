// Build-time program: a descriptor set in, the C++ source of proto/otlp_tables.h's tables out.
//
//   make_tables descriptors.bin otlp_tables.cc
//
// It ends with an error, and so does the build, when a message uses something that the tables (and
// so the JSON reader) do not know: groups, maps, floats, unpacked repeated scalars.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "proto/otlp_tables.h"

namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

constexpr const char* kRoots[] = {
    "opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest",
    "opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest",
    "opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest",
    "opentelemetry.proto.collector.profiles.v1development.ExportProfilesServiceRequest",
};

template <typename T>
class Numbering {
 public:
  /// The place of `descriptor`; a new one is put at the end.
  std::size_t place_of(const T* descriptor) {
    auto [found, inserted] = places_.emplace(descriptor, order_.size());
    if (inserted) order_.push_back(descriptor);
    return found->second;
  }
  const std::vector<const T*>& order() const { return order_; }

 private:
  std::map<const T*, std::size_t> places_;
  std::vector<const T*> order_;
};

std::string bytes_kind(const FieldDescriptor& field) {
  // The Collector writes and reads profile ids in hex too, whatever the specification leaves open.
  if (field.name() == "trace_id" || field.name() == "profile_id") return "trace_id";
  if (field.name() == "span_id" || field.name() == "parent_span_id") return "span_id";
  return "bytes";
}

std::string kind_of(const FieldDescriptor& field) {
  switch (field.type()) {
    case FieldDescriptor::TYPE_BOOL:
      return "boolean";
    case FieldDescriptor::TYPE_INT32:
      return "int32";
    case FieldDescriptor::TYPE_INT64:
      return "int64";
    case FieldDescriptor::TYPE_UINT32:
      return "uint32";
    case FieldDescriptor::TYPE_UINT64:
      return "uint64";
    case FieldDescriptor::TYPE_SINT32:
      return "sint32";
    case FieldDescriptor::TYPE_FIXED32:
      return "fixed32";
    case FieldDescriptor::TYPE_FIXED64:
      return "fixed64";
    case FieldDescriptor::TYPE_SFIXED64:
      return "sfixed64";
    case FieldDescriptor::TYPE_DOUBLE:
      return "real";
    case FieldDescriptor::TYPE_ENUM:
      return "enumeration";
    case FieldDescriptor::TYPE_STRING:
      return "string";
    case FieldDescriptor::TYPE_BYTES:
      return bytes_kind(field);
    case FieldDescriptor::TYPE_MESSAGE:
      return "message";
    default:
      throw std::runtime_error(field.full_name() + ": type not supported by the tables");
  }
}

class TableWriter {
 public:
  explicit TableWriter(const google::protobuf::DescriptorPool& pool) {
    for (const char* root : kRoots) {
      const Descriptor* message = pool.FindMessageTypeByName(root);
      if (message == nullptr) throw std::runtime_error(std::string("no message ") + root);
      roots_.push_back(messages_.place_of(message));
    }
  }

  std::string write() {
    std::ostringstream fields;
    std::ostringstream messages;
    std::size_t slot = 0;
    for (std::size_t place = 0; place < messages_.order().size(); ++place) {  // grows meanwhile
      const Descriptor& message = *messages_.order()[place];
      write_fields(message, place, fields);
      messages << "    {\"" << message.name() << "\", kFields" << place << ", " << slot << "},\n";
      slot += 1 + static_cast<std::size_t>(message.field_count());
    }
    std::ostringstream out;
    out << "// Written by make_tables from the .proto files.\n#include \"proto/otlp_tables.h\"\n\n"
        << "namespace holdfast::otlp {\nnamespace {\n\n"
        << fields.str() << "constexpr Message kMessageRows[] = {\n"
        << messages.str() << "};\n\n";
    write_enums(out);
    out << "}  // namespace\n\n"
        << "constinit const std::span<const Message> kMessages{kMessageRows};\n"
        << "constinit const std::span<const Enum> kEnums{kEnumRows};\n"
        << "constinit const std::size_t kSlotCount = " << slot << ";\n"
        << "constinit const std::uint8_t kRequestMessages[kSignalCount] = {";
    for (const std::size_t root : roots_) out << root << ", ";
    out << "};\n\n}  // namespace holdfast::otlp\n";
    return out.str();
  }

 private:
  void check(const FieldDescriptor& field) {
    if (field.number() >= 2048) throw std::runtime_error(field.full_name() + ": number too large");
    if (field.is_map()) throw std::runtime_error(field.full_name() + ": maps are not supported");
    if (field.is_repeated() && field.is_packable() && !field.is_packed()) {
      throw std::runtime_error(field.full_name() + ": unpacked scalars are not supported");
    }
    if (field.name().size() >= holdfast::otlp::kNameLengthMax) {
      throw std::runtime_error(field.full_name() + ": name too long");
    }
  }

  std::size_t type_of(const FieldDescriptor& field) {
    if (field.message_type() != nullptr) return messages_.place_of(field.message_type());
    if (field.enum_type() != nullptr) return enums_.place_of(field.enum_type());
    return 0;
  }

  void write_fields(const Descriptor& message, std::size_t place, std::ostream& out) {
    if (message.field_count() > 64 || message.field_count() == 0) {
      throw std::runtime_error(message.full_name() + ": none or more than 64 fields");
    }
    out << "constexpr Field kFields" << place << "[] = {  // " << message.full_name() << "\n";
    for (int i = 0; i < message.field_count(); ++i) {
      const FieldDescriptor& field = *message.field(i);
      check(field);
      const auto* const oneof = field.containing_oneof();  // optional is a oneof of one
      out << "    {\"" << field.json_name() << "\", \"" << field.name() << "\", " << field.number()
          << ", FieldKind::" << kind_of(field) << ", " << (field.is_repeated() ? "true" : "false")
          << ", " << (oneof != nullptr ? oneof->index() + 1 : 0) << ", " << type_of(field)
          << "},\n";
    }
    out << "};\n\n";
  }

  void write_enums(std::ostream& out) {
    for (std::size_t place = 0; place < enums_.order().size(); ++place) {
      const EnumDescriptor& type = *enums_.order()[place];
      out << "constexpr EnumValue kEnumValues" << place << "[] = {\n";
      for (int i = 0; i < type.value_count(); ++i) {
        out << "    {\"" << type.value(i)->name() << "\", " << type.value(i)->number() << "},\n";
      }
      out << "};\n\n";
    }
    out << "constexpr Enum kEnumRows[] = {\n";
    for (std::size_t place = 0; place < enums_.order().size(); ++place) {
      out << "    {\"" << enums_.order()[place]->name() << "\", kEnumValues" << place << "},\n";
    }
    out << "};\n\n";
  }

  Numbering<Descriptor> messages_;
  Numbering<EnumDescriptor> enums_;
  std::vector<std::size_t> roots_;
};

void make_tables(const char* descriptors, const char* output) {
  google::protobuf::FileDescriptorSet set;
  std::ifstream in(descriptors, std::ios::binary);
  if (!in || !set.ParseFromIstream(&in)) {
    throw std::runtime_error(std::string("cannot read ") + descriptors);
  }
  google::protobuf::DescriptorPool pool;
  for (const auto& file : set.file()) {
    if (pool.BuildFile(file) == nullptr) throw std::runtime_error("cannot build " + file.name());
  }
  std::ofstream out(output, std::ios::trunc);
  out << TableWriter(pool).write();
  out.close();
  if (!out) throw std::runtime_error(std::string("cannot write ") + output);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: make_tables descriptors.bin otlp_tables.cc\n";
    return 2;
  }
  try {
    make_tables(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::cerr << "make_tables: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
