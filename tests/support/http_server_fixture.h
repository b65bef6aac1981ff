// A server that echoes, holds or drops, and requests for it.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agent/http_server.h"
#include "tests/support/raw_http_client.h"

namespace holdfast {

inline std::string post(std::string_view body, std::string_view more_headers = "",
                        std::string_view target = "/echo") {
  return "POST " + std::string(target) +
         " HTTP/1.1\r\nHost: agent\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(more_headers) + "\r\n" + std::string(body);
}

inline std::string chunk(std::string_view bytes) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return size + std::string(bytes) + "\r\n";
}

inline const std::string kChunkedHead =
    "POST /echo HTTP/1.1\r\nHost: agent\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Echoes "METHOD target body". Requests to /hold are kept until release().
class HttpServerTest : public testing::Test {
 protected:
  void start(HttpServerOptions options = {}) {
    options.endpoint = "127.0.0.1:0";
    HttpServer::Handlers handlers;
    handlers.handle = [this](HttpRequest request, HttpReply reply) {
      ++handled_;
      if (request.path() == "/hold") {
        std::lock_guard lock(mutex_);
        held_.push_back(reply);
        arrived_.notify_all();
        return;
      }
      if (request.path() == "/drop") return;
      HttpResponse response;
      response.content_type = "text/plain";
      response.body = request.path() == "/large"
                          ? std::string(50U << 20, 'x')
                          : request.method + " " + request.target + " " + request.body;
      reply.send(std::move(response));
    };
    handlers.head = head_;
    handlers.refuse = refuse_;
    handlers.end_of_burst = end_of_burst_;
    auto started = HttpServer::start(options, std::move(handlers));
    ASSERT_TRUE(started.ok()) << started.error().message;
    server_ = std::move(started).value();
  }

  RawHttpClient client() { return RawHttpClient(server_->port()); }

  void wait_for_held(std::size_t count) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(
        arrived_.wait_for(lock, std::chrono::seconds(20), [&] { return held_.size() >= count; }));
  }

  /// Answers what is held, on the server's thread, and comes back when that is done.
  void release() {
    std::promise<void> done;
    server_->post([&] {
      std::lock_guard lock(mutex_);
      for (const HttpReply& reply : held_) {
        HttpResponse response;
        response.body = "held";
        reply.send(std::move(response));
      }
      held_.clear();
      done.set_value();
    });
    done.get_future().wait();
  }

  std::optional<ByteBudget> budget_;  // outlives the server
  HttpServer::HeadHandler head_;
  HttpServer::RefuseHandler refuse_;
  std::function<void()> end_of_burst_;
  std::atomic<int> handled_{0};
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<HttpReply> held_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace holdfast
