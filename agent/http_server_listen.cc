#include "agent/http_server_listen.h"

#include <boost/asio/ip/v6_only.hpp>
#include <charconv>
#include <optional>
#include <string_view>

namespace holdfast {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

struct HostAndPort {
  std::string host;
  std::uint16_t port = 0;
};

std::optional<HostAndPort> split(std::string_view endpoint) {
  const std::size_t colon = endpoint.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = endpoint.substr(0, colon);
  const std::string_view digits = endpoint.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return std::nullopt;  // an IPv6 address without brackets
  }
  HostAndPort result{std::string(host), 0};
  const char* const end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, result.port);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return result;
}

std::string text_of(const tcp::endpoint& address) {
  const std::string host = address.address().to_string();
  const std::string port = std::to_string(address.port());
  return address.address().is_v6() ? "[" + host + "]:" + port : host + ":" + port;
}

Error listen_error(const std::string& where, const error_code& code) {
  std::string reason = code.message();
  if (!reason.empty()) reason[0] = static_cast<char>(std::tolower(reason[0]));
  return Error{code.value(), "listen tcp " + where + ": " + reason};
}

Result<tcp::acceptor> listen_at(boost::asio::io_context& context, const tcp::endpoint& address,
                                bool dual_stack) {
  tcp::acceptor acceptor(context);
  error_code code;
  acceptor.open(address.protocol(), code);
  // As Go does: an old connection in TIME_WAIT must not keep a restarted agent from its port.
  if (!code) acceptor.set_option(tcp::acceptor::reuse_address(true), code);
  if (!code && address.address().is_v6()) {
    acceptor.set_option(boost::asio::ip::v6_only(!dual_stack), code);
  }
  if (!code) acceptor.bind(address, code);
  if (!code) acceptor.listen(boost::asio::socket_base::max_listen_connections, code);
  if (!code) acceptor.non_blocking(true, code);
  if (code) return listen_error(text_of(address), code);
  return acceptor;
}

using Acceptors = std::vector<tcp::acceptor>;

Result<Acceptors> listen_everywhere(boost::asio::io_context& context, std::uint16_t port) {
  Acceptors acceptors;
  Result<tcp::acceptor> both = listen_at(context, {boost::asio::ip::address_v6::any(), port}, true);
  if (!both.ok() && both.error().code == EAFNOSUPPORT) {
    both = listen_at(context, {boost::asio::ip::address_v4::any(), port}, false);
  }
  if (!both.ok()) return both.error();
  acceptors.push_back(std::move(both).value());
  return acceptors;
}

Result<Acceptors> listen_on_loopback(boost::asio::io_context& context, std::uint16_t port) {
  Acceptors acceptors;
  Result<tcp::acceptor> v4 =
      listen_at(context, {boost::asio::ip::address_v4::loopback(), port}, false);
  if (!v4.ok()) return v4.error();
  acceptors.push_back(std::move(v4).value());
  // Clients that take "localhost" for ::1 first are served too; many machines have no IPv6.
  const std::uint16_t bound = acceptors.front().local_endpoint().port();
  Result<tcp::acceptor> v6 =
      listen_at(context, {boost::asio::ip::address_v6::loopback(), bound}, false);
  if (v6.ok()) acceptors.push_back(std::move(v6).value());
  return acceptors;
}

}  // namespace

Result<Acceptors> listen_on(boost::asio::io_context& context, const std::string& endpoint) {
  const std::optional<HostAndPort> parts = split(endpoint);
  if (!parts) return Error{EINVAL, "listen tcp " + endpoint + ": not of the form host:port"};
  if (parts->host.empty()) return listen_everywhere(context, parts->port);
  if (parts->host == "localhost") return listen_on_loopback(context, parts->port);
  error_code code;
  tcp::resolver resolver(context);
  const auto found =
      resolver.resolve(parts->host, std::to_string(parts->port), tcp::resolver::passive, code);
  if (code) return listen_error(endpoint, code);
  Result<tcp::acceptor> one = listen_at(context, found.begin()->endpoint(), false);
  if (!one.ok()) return one.error();
  Acceptors acceptors;
  acceptors.push_back(std::move(one).value());
  return acceptors;
}

}  // namespace holdfast
