// `holdfast sink`: a small OTLP/HTTP upstream that counts and prints what comes, for trials and
// demonstrations.
#pragma once

#include <stop_token>
#include <string>

namespace holdfast {

struct SinkOptions {
  std::string endpoint = "localhost:4319";
  int fail_status = 0;  // answer every request with it; 0: take what is good
  bool quiet = false;   // totals at the end only
};

/// Serves until `stop` is requested. Prints to standard output; returns the exit code.
int run_sink(const SinkOptions& options, std::stop_token stop);

}  // namespace holdfast
