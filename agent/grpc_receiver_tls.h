// TLS for the gRPC server.
#pragma once

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "agent/tls_server.h"
#include "buffer/result.h"

namespace holdfast {

/// Reads the files first, so that errors name them as TlsServerContext does. gRPC has no way to ask
/// for credentials at a handshake, so a thread of its own looks at the files: each reload_interval,
/// or 10 s. Connections that there are keep what they began with. TLS 1.2 and 1.3 with gRPC's
/// ciphers: `only_*`, `ciphers`, `groups` and `with_system_cas` are not for here.
Result<std::shared_ptr<grpc::ServerCredentials>> grpc_server_credentials(
    const TlsServerOptions& options);

}  // namespace holdfast
