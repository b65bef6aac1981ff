// Times as JSON and the Collector's health answers have them. Pure functions.
#pragma once

#include <cstdint>
#include <string>

namespace holdfast {

/// RFC 3339 in UTC, with as many digits of the second as it needs: "2024-05-01T12:00:00.25Z".
std::string rfc3339_nano(std::int64_t unix_ns);

/// A duration as Go prints it: "0s", "1.5ms", "1m2.3s", "49h0m0.000000001s".
std::string go_duration(std::int64_t ns);

}  // namespace holdfast
