// gRPC's library as this process wants it.
#pragma once

namespace holdfast {

/// Has effect once, before the first server or channel: its errors go to our log, and absl's
/// mutexes do not watch the order of locks. Opens nothing, starts no thread. Thread-safe.
void prepare_grpc_library();

}  // namespace holdfast
