#include "agent/grpc_receiver_calls.h"

#include <grpcpp/alarm.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <iterator>
#include <latch>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "agent/grpc_receiver_body.h"
#include "agent/grpc_receiver_calls_impl.h"
#include "agent/logging.h"
#include "agent/rpc_status.h"
#include "agent/tracer.h"

namespace holdfast {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kArmedMax = 4;         // calls that wait for a client
constexpr std::size_t kReadingMax = 8;       // messages that come in at once, slow ones apart
constexpr std::size_t kReadingSlowMax = 64;  // slow ones included
constexpr std::size_t kUnderWayMax = 1024;   // those that wait for a commit included
constexpr SteadyClock::duration kSlowAfter = std::chrono::milliseconds(250);
constexpr SteadyClock::duration kGiveUpAfter = std::chrono::seconds(30);
constexpr SteadyClock::duration kStalledWait = std::chrono::milliseconds(50);
constexpr std::size_t kCommitBytes = 1 << 20;
// A poll without patience looks at the sockets once; what is about to arrive joins the commit.
constexpr int kPollsBeforeCommit = 4;
constexpr std::size_t kScratchBytesKept = 1 << 20;
constexpr std::chrono::seconds kRetryDelay{1};

using Calls = GrpcCallsImpl;
using Call = GrpcCall;

}  // namespace

grpc::ByteBuffer Calls::response_message(const ForwardAnswer& answer) {
  const grpc::Slice slice(encode_export_response(answer.rejected_items, answer.message));
  return grpc::ByteBuffer(&slice, 1);
}

void Calls::serve(int fd, int listener_fd) {
  clients_.add(fd);
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
  connection.fd = fd;
  connection.listener_fd = listener_fd;
  grpc_.acceptor->HandleNewConnection(&connection);
}

void Calls::change(Settings settings) {
  std::latch done(1);
  change_ = [&] {
    batch_.send_to(settings.logs);
    authenticator_ = std::move(settings.authenticator);
    done.count_down();
  };
  // An event of the queue: the thread meets it between two others.
  grpc::Alarm alarm;
  alarm.Set(grpc_.queue.get(), gpr_now(GPR_CLOCK_MONOTONIC), &change_);
  done.wait();
}

void Calls::stop(std::chrono::milliseconds grace) {
  std::call_once(stopped_, [&] {
    if (!thread_.joinable()) return;
    stopping_ = true;
    // Fails the armed calls at once and cancels what is left when the time is up; the thread goes
    // on answering meanwhile and ends with the last call.
    grpc_.server->Shutdown(std::chrono::system_clock::now() + grace);
    // The queue goes after the server, and after the last operation of the last call.
    drained_.wait();
    grpc_.queue->Shutdown();
    thread_.join();
  });
}

void Calls::run() noexcept {
  arm();
  while (!armed_.empty() || !under_way_.empty()) {
    if (next_event()) {
      idle_polls_ = 0;
    } else {
      ++idle_polls_;
    }
    if (batch_.pending_bytes() > kCommitBytes ||
        (!batch_.empty() && idle_polls_ >= kPollsBeforeCommit)) {
      batch_.commit();
      idle_polls_ = 0;
    }
    arm();
    if (armed_.empty()) give_up_oldest();
  }
  drained_.count_down();  // no call is left and none will be armed
  void* tag = nullptr;
  bool ok = false;
  while (grpc_.queue->Next(&tag, &ok)) {
  }
}

/// False: nothing came in time.
bool Calls::next_event() {
  void* tag = nullptr;
  bool ok = false;
  if (batch_.empty() && !armed_.empty()) {
    grpc_.queue->Next(&tag, &ok);
  } else {
    const gpr_timespec deadline =
        batch_.empty()
            ? gpr_time_add(
                  gpr_now(GPR_CLOCK_MONOTONIC),
                  gpr_time_from_nanos(std::chrono::nanoseconds(kStalledWait).count(), GPR_TIMESPAN))
            : gpr_time_0(GPR_CLOCK_MONOTONIC);
    if (grpc_.queue->AsyncNext(&tag, &ok, deadline) != grpc::CompletionQueue::GOT_EVENT) {
      return false;
    }
  }
  if (tag == &change_) {
    change_();
    return true;
  }
  const auto& event = *static_cast<Call::Event*>(tag);
  if (event.is_end) {
    on_end(event.call);
  } else {
    on_event(event.call, ok);
  }
  return true;
}

void Calls::on_event(Call& call, bool ok) {
  switch (call.state) {
    case Call::State::armed:
      if (!ok) {  // the server stops
        armed_.erase(call.self);
      } else {
        on_matched(call);
      }
      break;
    case Call::State::reading:
      --reading_;
      if (ok) {
        on_message(call);
      } else {
        // Half-closed without a message, cancelled, or too large: gRPC has answered the last two.
        finish(call, kRpcInternal, "no request message");
      }
      break;
    case Call::State::forwarding:
      answer_forwarded(call);
      break;
    case Call::State::waiting:
    case Call::State::finishing:
      finished(call);
      break;
  }
}

void Calls::on_end(Call& call) {
  call.gone.request_stop();
  if (std::exchange(call.one_is_over, true)) under_way_.erase(call.self);
}

void Calls::on_matched(Call& call) {
  under_way_.splice(under_way_.end(), armed_, call.self);
  call.since = SteadyClock::now();
  const std::string& method = call.context.method();
  for (const Signal signal : kSignals) {
    if (method == traits(signal).grpc_method && batch_.takes(signal)) {
      if (const auto reason = refuse_stranger(call)) {
        return finish(call, kRpcUnauthenticated, *reason);
      }
      call.signal = signal;
      call.state = Call::State::reading;
      ++reading_;
      call.stream.Read(&call.message, &call.operation);
      return;
    }
  }
  finish(call, kRpcUnimplemented, unknown_method(method, batch_));
}

std::optional<std::string> Calls::refuse_stranger(const Call& call) {
  if (authenticator_ == nullptr) return std::nullopt;
  auto reason = authenticator_->refuse(call.metadata(authenticator_->metadata_key()));
  if (reason) log(LogLevel::warn, "request refused", {{"transport", "grpc"}, {"reason", *reason}});
  return reason;
}

void Calls::on_message(Call& call) {
  if (!batch_.takes(call.signal)) {  // any longer
    return finish(call, kRpcUnimplemented, unknown_method(call.context.method(), batch_));
  }
  ReceiverSignalStats& stats = stats_.signals[index_of(call.signal)];
  const std::size_t wire_bytes = call.message.Length();
  stats.wire_bytes.fetch_add(wire_bytes, std::memory_order_relaxed);
  if (!budget_.try_acquire(wire_bytes)) {
    stats.requests.fetch_add(1, std::memory_order_relaxed);
    stats.refused.fetch_add(1, std::memory_order_relaxed);  // its items are not known
    finish(call, kRpcUnavailable, "too many bytes in flight, try again later", kRetryDelay);
    return;
  }
  call.budget_bytes = wire_bytes;
  call.state = Call::State::waiting;
  if (stats_.tracer != nullptr) call.span = stats_.tracer->start(call.metadata("traceparent"));
  const std::optional<std::string_view> sent = contiguous(call.message);
  const PlainBody body = sent ? plain_body(*sent, message_bytes_max_, inflated_)
                              : PlainBody{kRpcInternal, "the message cannot be read", {}};
  if (body.code != 0) {
    stats.requests.fetch_add(1, std::memory_order_relaxed);
    stats.failed.fetch_add(1, std::memory_order_relaxed);
    finish(call, body.code, body.message);
  } else {
    std::shared_ptr<const std::string> copy;  // for the upstream
    if (!forwarders_[index_of(call.signal)].empty())
      copy = std::make_shared<const std::string>(body.bytes);
    batch_.accept(call.signal, body.bytes, stats, [this, &call, copy](const IngestResult& result) {
      if (copy == nullptr || result.items == 0) return answer(call, result);
      forward(call, {.signal = call.signal, .body = copy, .items = result.items});
    });
  }
  call.message.Clear();
  if (joined_.capacity() > kScratchBytesKept) std::string().swap(joined_);
  if (inflated_.capacity() > kScratchBytesKept) std::string().swap(inflated_);
}

/// The view lives until the next call.
std::optional<std::string_view> Calls::contiguous(grpc::ByteBuffer& message) {
  slices_.clear();
  if (!message.Dump(&slices_).ok()) return std::nullopt;
  joined_.clear();
  joined_.reserve(message.Length());
  for (const grpc::Slice& slice : slices_) {
    joined_.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  slices_.clear();
  return joined_;
}

bool Calls::may_arm() const {
  if (stopping_ || armed_.size() >= kArmedMax || under_way_.size() >= kUnderWayMax) return false;
  if (reading_ < kReadingMax) return true;
  if (reading_ >= kReadingSlowMax) return false;
  // Slow clients hold no place that a quick one needs, up to the larger bound.
  const SteadyClock::time_point slow = SteadyClock::now() - kSlowAfter;
  const auto quick = std::count_if(under_way_.begin(), under_way_.end(), [&](const Call& call) {
    return call.state == Call::State::reading && call.since > slow;
  });
  return static_cast<std::size_t>(quick) < kReadingMax;
}

void Calls::arm() {
  while (may_arm()) {
    Call& call = armed_.emplace_back();
    call.self = std::prev(armed_.end());
    call.has_end = notices_ends_;
    if (call.has_end) call.context.AsyncNotifyWhenDone(&call.end);
    service_.RequestCall(&call.context, &call.stream, grpc_.queue.get(), grpc_.queue.get(),
                         &call.operation);
  }
}

/// No call is armed, so every place is taken: those that take too long lose theirs. Their pending
/// operation fails soon, which ends them in on_event().
void Calls::give_up_oldest() {
  const SteadyClock::time_point too_old = SteadyClock::now() - kGiveUpAfter;
  for (Call& call : under_way_) {
    if (call.since > too_old) break;
    const bool is_ours =
        call.state == Call::State::waiting || call.state == Call::State::forwarding;
    if (call.given_up || is_ours) continue;
    call.given_up = true;
    call.context.TryCancel();
  }
}

void Calls::answer(Call& call, const IngestResult& result) {
  switch (result.outcome) {
    case IngestResult::Outcome::stored:
      return succeed(call, success_);
    case IngestResult::Outcome::refused:
      return finish(call, kRpcInvalidArgument, result.message);
    case IngestResult::Outcome::full:
      return finish(call, kRpcUnavailable, result.message, kRetryDelay);
  }
}

void Calls::forward(Call& call, ForwardRequest request) {
  call.state = Call::State::forwarding;
  call.gone = std::stop_source();
  if (call.one_is_over) call.gone.request_stop();
  call.forwarded_items = request.items;
  request.deadline = call.deadline();
  request.gone = call.gone.get_token();
  forward_to_all(forwarders_[index_of(call.signal)], request,
                 [queue = grpc_.queue.get(), &call](ForwardAnswer answer) {
                   std::lock_guard lock(call.mutex);
                   call.forwarded = std::move(answer);
                   call.alarm.Set(queue, gpr_now(GPR_CLOCK_MONOTONIC), &call.operation);
                 });
}

void Calls::answer_forwarded(Call& call) {
  std::unique_lock lock(call.mutex);
  const ForwardAnswer answer = std::move(call.forwarded);
  lock.unlock();
  batch_.note_forwarded(call.signal, stats_.signals[index_of(call.signal)], call.forwarded_items,
                        answer.code == kRpcOk);
  if (answer.code != kRpcOk) return finish(call, answer.code, answer.message, answer.retry_after);
  succeed(call, response_message(answer));
}

void Calls::succeed(Call& call, const grpc::ByteBuffer& response) {
  end_request_span(stats_, call.signal, call.span, "");
  call.state = Call::State::finishing;
  call.stream.WriteAndFinish(response, grpc::WriteOptions(), grpc::Status::OK, &call.operation);
}

void Calls::finish(Call& call, int code, const std::string& message,
                   std::optional<std::chrono::seconds> retry) {
  end_request_span(stats_, call.signal, call.span, message);
  call.state = Call::State::finishing;
  const std::string details = retry ? encode_rpc_status(code, message, retry) : "";
  call.stream.Finish(grpc::Status(static_cast<grpc::StatusCode>(code), message, details),
                     &call.operation);
}

void Calls::finished(Call& call) {
  budget_.release(call.budget_bytes);
  if (call.has_end && !std::exchange(call.one_is_over, true)) return;
  under_way_.erase(call.self);
}

Result<std::unique_ptr<GrpcCalls>> GrpcCalls::start(const GrpcReceiverConfig& config,
                                                    Settings settings, ReceiverStats& stats,
                                                    ByteBudget& budget,
                                                    SignalForwarders forwarders) {
  auto calls =
      std::make_unique<Calls>(config, std::move(settings), stats, budget, std::move(forwarders));
  if (const Status started = calls->start(config); !started.ok()) return started.error();
  return std::unique_ptr<GrpcCalls>(std::move(calls));
}

}  // namespace holdfast
