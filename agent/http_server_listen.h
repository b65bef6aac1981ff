// Sockets that listen, from an endpoint as a configuration writes it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <string>
#include <utility>  // before Asio: see http_server_parser.cc
#include <vector>

#include "buffer/result.h"

namespace holdfast {

/// "host:port", "[::1]:port", ":port" (all addresses). "localhost" is 127.0.0.1 and, where the
/// machine has it, ::1 on the same port. Errors name address and reason.
Result<std::vector<boost::asio::ip::tcp::acceptor>> listen_on(boost::asio::io_context& context,
                                                              const std::string& endpoint);

}  // namespace holdfast
