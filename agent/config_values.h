// The small languages inside configuration values: durations, sizes, endpoints, URLs, and words
// that are nearly right.
//
// Pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

/// "a::b" of "a" and "b"; "b" if `parent` is empty.
std::string join_key(std::string_view parent, std::string_view key);

/// As Go writes durations: "1m30s", "1.5h", "200ms", "0", "-5s". What is less than a millisecond,
/// but not zero, becomes one.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

/// "1h30m", "200ms": what parse_duration() reads back.
std::string duration_text(std::chrono::milliseconds duration);

/// Bytes: "1048576", "8MiB", "10 MB", "1.5GiB". KB, MB, GB are powers of 1000, KiB, MiB, GiB of
/// 1024.
std::optional<std::uint64_t> parse_size(std::string_view text);

/// "8MiB" where it comes out even, else bytes.
std::string size_text(std::uint64_t bytes);

std::optional<std::int64_t> parse_integer(std::string_view text);
std::optional<double> parse_number(std::string_view text);
std::optional<bool> parse_boolean(std::string_view text);

/// Whether YAML takes an unquoted scalar for something else than a string.
bool is_typed_scalar(std::string_view text);

struct Endpoint {
  std::string host;  // without brackets; empty: all addresses
  std::uint16_t port = 0;
};

/// "host:port", "[::1]:4317", ":4317".
std::optional<Endpoint> parse_endpoint(std::string_view text);

/// Why `text` is not an endpoint, and what would be.
struct EndpointFault {
  std::string message;
  std::string hint;
};
EndpointFault explain_endpoint(std::string_view text);

/// "http://host[:port][/path]" or https.
bool is_http_url(std::string_view text);

/// The candidate that `word` was probably meant to be, by edit distance; nothing if none is near.
std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates);

/// `did you mean "x"?`, or what there is: `there is: a, b`.
std::string suggest(std::string_view word, std::vector<std::string> candidates,
                    std::string_view lead = "there is");

}  // namespace holdfast
