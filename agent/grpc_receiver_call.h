// One call of a client, from the moment it is waited for until its answer has left.
//
// Its receiver's thread owns it; another one touches nothing but `forwarded` and `alarm`, and only
// while it is being forwarded.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <list>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "agent/forwarder.h"
#include "agent/ingest.h"
#include "agent/tracer.h"
#include "proto/signal.h"

namespace holdfast {

/// Has one operation under way at any time, and its end is an event. Where requests are forwarded
/// the end of the call as such is a second one: a client that hangs up is noticed by it.
struct GrpcCall {
  enum class State : std::uint8_t { armed, reading, waiting, forwarding, finishing };
  struct Event {  // what a tag in the completion queue points to
    GrpcCall& call;
    bool is_end;
  };

  grpc::GenericServerContext context;
  grpc::GenericServerAsyncReaderWriter stream{&context};
  grpc::ByteBuffer message;
  std::list<GrpcCall>::iterator self;
  std::chrono::steady_clock::time_point since;
  std::size_t budget_bytes = 0;
  Signal signal = Signal::traces;
  State state = State::armed;
  bool given_up = false;
  std::optional<OpenSpan> span;
  Event operation{*this, false};
  Event end{*this, true};
  bool has_end = false;                     // its event comes, once the call has begun
  bool one_is_over = false;                 // of the last operation and the call
  std::stop_source gone{std::nostopstate};  // the client is; made when the call is forwarded
  std::mutex mutex;
  std::uint32_t forwarded_items = 0;
  ForwardAnswer forwarded;  // under the mutex
  grpc::Alarm alarm;        // rings when it is there

  /// What the client sent by that name, "" if nothing.
  std::string_view metadata(const std::string& name) const {
    const auto& sent = context.client_metadata();
    const auto found = sent.find(name);
    if (found == sent.end()) return "";
    return {found->second.data(), found->second.size()};
  }

  /// Nothing: the client waits for ever.
  std::optional<std::chrono::steady_clock::time_point> deadline() const {
    const auto at = context.deadline();
    if (at == std::chrono::system_clock::time_point::max()) return std::nullopt;
    return std::chrono::steady_clock::now() + (at - std::chrono::system_clock::now());
  }
};

/// What grpc-go says to a method that nobody serves.
std::string unknown_method(std::string_view path, const IngestBatch& batch);

}  // namespace holdfast
