// Paths of request targets, compared and mended as the Collector's mux does it (Go's net/http).
#pragma once

#include <string>
#include <string_view>

namespace holdfast {

/// Does `path`, as sent, name `wanted`? %XX stands for its byte, but for no slash.
bool is_path(std::string_view path, std::string_view wanted);

/// `path` with one slash at its front, and without empty, "." and ".." segments; a slash at its end
/// stays. What is not clean is answered with a redirect to this.
std::string clean_path(std::string_view path);

}  // namespace holdfast
