#include "agent/own_resource.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <string>

namespace holdfast {
namespace {

/// RFC 9562, version 4.
std::string random_uuid() {
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::random_device random;
  std::array<std::uint8_t, 16> bytes;
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3F) | 0x80);
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += kHex[bytes[i] >> 4];
    text += kHex[bytes[i] & 15];
  }
  return text;
}

const std::string& instance_id() {
  static const std::string id = random_uuid();
  return id;
}

}  // namespace

Attributes own_resource(const ResourceConfig& config) {
  const Attributes own{{"service.instance.id", instance_id()},
                       {"service.name", "holdfast"},
                       {"service.version", HOLDFAST_VERSION}};
  Attributes resource = config.attributes;
  for (const Attribute& attribute : own) {
    const bool removed = std::find(config.removed.begin(), config.removed.end(), attribute.name) !=
                         config.removed.end();
    const bool replaced =
        std::any_of(config.attributes.begin(), config.attributes.end(),
                    [&](const Attribute& given) { return given.name == attribute.name; });
    if (!removed && !replaced) resource.push_back(attribute);
  }
  std::sort(resource.begin(), resource.end(),
            [](const Attribute& a, const Attribute& b) { return a.name < b.name; });
  return resource;
}

}  // namespace holdfast
