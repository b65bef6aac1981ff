#include "agent/grpc_library.h"

#include <absl/synchronization/mutex.h>
#include <grpc/support/log.h>

#include <mutex>

#include "agent/logging.h"

namespace holdfast {
namespace {

void forward_log(gpr_log_func_args* args) {
  log(LogLevel::warn, "gRPC reports an error", {{"message", args->message}});
}

}  // namespace

void prepare_grpc_library() {
  static std::once_flag once;
  std::call_once(once, [] {
    // Debian's absl watches the order of every lock: 8 µs a request.
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
    gpr_set_log_function(forward_log);
  });
}

}  // namespace holdfast
