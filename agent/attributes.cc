#include "agent/attributes.h"

#include <fmt/format.h>

#include <type_traits>

namespace holdfast {

std::string text_of(const AttributeValue& value) {
  return std::visit(
      [](const auto& content) -> std::string {
        if constexpr (std::is_same_v<std::decay_t<decltype(content)>, std::string>) {
          return content;
        } else {
          return fmt::format("{}", content);
        }
      },
      value);
}

}  // namespace holdfast
