#include "agent/http_server.h"

#include <algorithm>
#include <latch>
#include <mutex>
#include <thread>

#include "agent/http_server_connection.h"
#include "agent/http_server_core.h"

namespace holdfast {
namespace {

bool equal_names(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [lower](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (equal_names(key, name)) return value;
  }
  return {};
}

std::string_view HttpRequest::path() const {
  std::string_view rest = target;
  if (!rest.starts_with('/')) {  // "http://host/path", as a proxy gets it
    const std::size_t scheme = rest.find("://");
    if (scheme != std::string_view::npos) {
      rest.remove_prefix(std::min(rest.size(), rest.find_first_of("/?", scheme + 3)));
    }
  }
  return rest.substr(0, rest.find('?'));
}

std::string_view HttpRequest::query() const {
  return std::string_view(target).substr(std::min(target.size(), target.find('?')));
}

HttpReply::Session::~Session() {
  if (answered) return;
  HttpResponse response;
  response.status = 500;
  connection->answer(std::move(response));
}

HttpReply::HttpReply(std::shared_ptr<Session> session) : session_(std::move(session)) {}

void HttpReply::send(HttpResponse response) const {
  if (session_->answered) return;
  session_->answered = true;
  session_->connection->answer(std::move(response));
}

bool HttpReply::lease(std::size_t bytes) const { return session_->connection->grow_lease(bytes); }

void HttpReply::watch(std::function<void()> gone) const {
  session_->connection->watch(std::move(gone));
}

struct HttpServer::Impl {
  std::shared_ptr<HttpServerCore> core;
  std::mutex stop_mutex;  // two callers of stop() join once
  std::jthread thread;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() { stop(std::chrono::milliseconds::zero()); }

Result<std::unique_ptr<HttpServer>> HttpServer::start(const HttpServerOptions& options,
                                                      Handlers handlers, const HeldSockets& held) {
  auto impl = std::make_unique<Impl>();
  impl->core = std::make_shared<HttpServerCore>(options, std::move(handlers));
  if (Status status = impl->core->listen(held); !status.ok()) return status.error();
  impl->thread = std::jthread([core = impl->core.get()]() noexcept { core->run(); });
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

std::uint16_t HttpServer::port() const { return impl_->core->port(); }

HeldSockets HttpServer::sockets() const { return impl_->core->sockets(); }

Result<std::function<void()>> HttpServer::prepare(const HttpServerOptions& options,
                                                  Handlers handlers, const HeldSockets& held,
                                                  std::function<void()> also) {
  auto prepared = impl_->core->prepare(options, std::move(handlers), held);
  if (!prepared.ok()) return prepared.error();
  const auto change = std::make_shared<HttpServerCore::Change>(std::move(*prepared));
  return std::function<void()>([core = impl_->core.get(), change, also = std::move(also)] {
    std::latch done(1);
    core->post([&] {
      core->apply(*change);
      if (also) also();
      done.count_down();
    });
    done.wait();
  });
}

void HttpServer::stop(std::chrono::milliseconds grace) {
  impl_->core->request_stop(grace);
  std::lock_guard lock(impl_->stop_mutex);
  if (impl_->thread.joinable()) impl_->thread.join();
}

void HttpServer::post(std::function<void()> task) { impl_->core->post(std::move(task)); }

std::size_t HttpServer::connections() const { return impl_->core->connections(); }

}  // namespace holdfast
