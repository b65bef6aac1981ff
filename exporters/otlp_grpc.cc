#include "exporters/otlp_grpc.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/compression.h>
#include <grpc/grpc.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

#include <algorithm>
#include <array>

#include "exporters/otlp_grpc_channel.h"
#include "exporters/otlp_grpc_policy.h"
#include "exporters/response_policy.h"

namespace holdfast {
namespace {

/// A reference to bytes that gRPC shares.
class Slice {
 public:
  explicit Slice(grpc_slice slice = grpc_empty_slice()) : slice_(slice) {}
  explicit Slice(std::string_view bytes)
      : slice_(grpc_slice_from_copied_buffer(bytes.data(), bytes.size())) {}
  ~Slice() { grpc_slice_unref(slice_); }
  Slice(const Slice&) = delete;
  Slice& operator=(const Slice&) = delete;

  grpc_slice& get() { return slice_; }
  std::string_view view() const {
    return {reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice_)), GRPC_SLICE_LENGTH(slice_)};
  }

 private:
  grpc_slice slice_;
};

std::string_view view_of(const grpc_slice& slice) {
  return {reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)), GRPC_SLICE_LENGTH(slice)};
}

struct BufferDestroy {
  void operator()(grpc_byte_buffer* buffer) const { grpc_byte_buffer_destroy(buffer); }
};
using Buffer = std::unique_ptr<grpc_byte_buffer, BufferDestroy>;

/// The bytes are copied: gRPC may hold on to a message after its call has ended.
Buffer make_message(const ExportBatch& batch) {
  Slice slice(batch.body);
  return Buffer(batch.coding == ContentCoding::gzip
                    ? grpc_raw_compressed_byte_buffer_create(&slice.get(), 1, GRPC_COMPRESS_GZIP)
                    : grpc_raw_byte_buffer_create(&slice.get(), 1));
}

std::string bytes_of(grpc_byte_buffer* buffer) {
  std::string bytes;
  grpc_byte_buffer_reader reader;
  if (grpc_byte_buffer_reader_init(&reader, buffer) == 0) return bytes;
  grpc_slice slice;
  while (grpc_byte_buffer_reader_next(&reader, &slice) != 0) {
    bytes += view_of(slice);
    grpc_slice_unref(slice);
  }
  grpc_byte_buffer_reader_destroy(&reader);
  return bytes;
}

std::string to_lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  return text;
}

/// The headers of one call, as gRPC takes them.
class Metadata {
 public:
  explicit Metadata(const OtlpGrpcOptions& options) {
    std::pair<std::string, std::string> changing;
    if (options.credentials) changing = options.credentials();
    changing.first = to_lower(changing.first);
    for (const auto& [name, value] : options.headers) {
      if (to_lower(name) != changing.first) add(to_lower(name), value);
    }
    add(changing.first, changing.second);
  }
  ~Metadata() {
    for (const grpc_metadata& entry : entries_) {
      grpc_slice_unref(entry.key);
      grpc_slice_unref(entry.value);
    }
  }
  Metadata(const Metadata&) = delete;
  Metadata& operator=(const Metadata&) = delete;

  std::size_t size() const { return entries_.size(); }
  grpc_metadata* data() { return entries_.data(); }

 private:
  void add(const std::string& name, const std::string& value) {
    if (!is_sendable_metadata(name, value)) return;
    grpc_metadata entry{};
    entry.key = grpc_slice_from_copied_buffer(name.data(), name.size());
    entry.value = grpc_slice_from_copied_buffer(value.data(), value.size());
    entries_.push_back(entry);
  }

  std::vector<grpc_metadata> entries_;
};

/// One unary call, from its start until gRPC has let go of it. Three batches: with the header on
/// its own, its success tells whether anything has gone out at all.
class UnaryCall {
 public:
  UnaryCall(grpc_channel* channel, grpc_completion_queue* queue, grpc_slice method,
            gpr_timespec deadline)
      : queue_(queue),
        call_(grpc_channel_create_call(channel, nullptr, GRPC_PROPAGATE_DEFAULTS, queue, method,
                                       nullptr, deadline, nullptr)) {
    grpc_metadata_array_init(&initial_metadata_);
    grpc_metadata_array_init(&trailing_metadata_);
  }
  ~UnaryCall() {
    grpc_metadata_array_destroy(&initial_metadata_);
    grpc_metadata_array_destroy(&trailing_metadata_);
    grpc_call_unref(call_);
  }
  UnaryCall(const UnaryCall&) = delete;
  UnaryCall& operator=(const UnaryCall&) = delete;

  /// Blocks until the call is over. False: gRPC does not take the operations.
  bool run(Metadata& headers, grpc_byte_buffer* message, bool wait_for_ready,
           const std::stop_token& stop) {
    const std::stop_callback cancel(stop, [this] { grpc_call_cancel(call_, nullptr); });
    grpc_op header{};
    header.op = GRPC_OP_SEND_INITIAL_METADATA;
    header.flags = wait_for_ready ? GRPC_INITIAL_METADATA_WAIT_FOR_READY |
                                        GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET
                                  : 0;
    header.data.send_initial_metadata = {headers.size(), headers.data(), {}};
    std::array<grpc_op, 2> body{};
    body[0].op = GRPC_OP_SEND_MESSAGE;
    body[0].data.send_message.send_message = message;
    body[1].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    std::array<grpc_op, 3> answer{};
    answer[0].op = GRPC_OP_RECV_INITIAL_METADATA;
    answer[0].data.recv_initial_metadata.recv_initial_metadata = &initial_metadata_;
    answer[1].op = GRPC_OP_RECV_MESSAGE;
    answer[1].data.recv_message.recv_message = &response_;
    answer[2].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    answer[2].data.recv_status_on_client = {&trailing_metadata_, &status_, &message_.get(),
                                            nullptr};
    const bool started =
        start(&header, 1) && start(body.data(), body.size()) && start(answer.data(), answer.size());
    if (!started) grpc_call_cancel(call_, nullptr);
    for (std::size_t i = 0; i < batches_; ++i) {
      const grpc_event event =
          grpc_completion_queue_pluck(queue_, tag(i), gpr_inf_future(GPR_CLOCK_MONOTONIC), nullptr);
      if (i == 0) sent_ = event.success != 0;
    }
    response_owner_.reset(response_);
    return started;
  }

  /// The header left this machine, and perhaps more.
  bool sent() const { return sent_; }

  /// Points into the call.
  RpcAnswer answer() {
    RpcAnswer answer;
    answer.code = static_cast<int>(status_);
    answer.message = message_.view();
    for (std::size_t i = 0; i < trailing_metadata_.count; ++i) {
      const grpc_metadata& entry = trailing_metadata_.metadata[i];
      if (view_of(entry.key) == "grpc-status-details-bin") answer.details = view_of(entry.value);
    }
    if (response_ != nullptr) {
      response_bytes_ = bytes_of(response_);
      answer.response = response_bytes_;
    }
    return answer;
  }

 private:
  void* tag(std::size_t batch) { return &tags_[batch]; }
  bool start(const grpc_op* operations, std::size_t count) {
    const grpc_call_error error =
        grpc_call_start_batch(call_, operations, count, tag(batches_), nullptr);
    if (error != GRPC_CALL_OK) return false;
    ++batches_;
    return true;
  }

  grpc_completion_queue* const queue_;
  grpc_call* const call_;
  std::array<char, 3> tags_{};
  std::size_t batches_ = 0;
  grpc_metadata_array initial_metadata_{};
  grpc_metadata_array trailing_metadata_{};
  grpc_byte_buffer* response_ = nullptr;
  Buffer response_owner_;
  std::string response_bytes_;
  grpc_status_code status_ = GRPC_STATUS_UNKNOWN;
  Slice message_;
  bool sent_ = false;
};

gpr_timespec deadline_after(std::chrono::milliseconds timeout) {
  if (timeout.count() == 0) return gpr_inf_future(GPR_CLOCK_MONOTONIC);
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_millis(timeout.count(), GPR_TIMESPAN));
}

/// What exists once something has been sent.
struct Connection {
  explicit Connection(const OtlpGrpcOptions& options, Signal signal)
      : channel(options),
        queue(grpc_completion_queue_create_for_pluck(nullptr)),
        method(traits(signal).grpc_method) {}
  ~Connection() {
    channel.close();
    grpc_completion_queue_shutdown(queue);
    grpc_completion_queue_destroy(queue);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  GrpcChannel channel;  // first: it readies the library
  grpc_completion_queue* const queue;
  Slice method;
};

class OtlpGrpcExporter : public Exporter {
 public:
  OtlpGrpcExporter(const OtlpGrpcOptions& options, Signal signal)
      : options_(options), signal_(signal) {}

  BodyForm form() const override { return {.coding = options_.compression}; }

  SendResult send(const ExportBatch& batch, std::stop_token stop) override {
    if (stop.stop_requested()) return transport_failure("stopped");
    if (!connection_) connection_.emplace(options_, signal_);
    GrpcChannel& channel = connection_->channel;
    if (!channel.open()) return transport_failure(channel.error());
    notice_hang_up();
    const gpr_timespec deadline = deadline_after(options_.timeout);
    UnaryCall call(channel.get(), connection_->queue, connection_->method.get(), deadline);
    const Buffer message = make_message(batch);
    Metadata headers(options_);
    if (!call.run(headers, message.get(), options_.wait_for_ready, stop)) {
      return transport_failure("gRPC does not take the call");
    }
    const RpcAnswer answer = call.answer();
    if (stop.stop_requested() && answer.code != GRPC_STATUS_OK) return transport_failure("stopped");
    const bool answered = is_answered(answer.code, deadline);
    // A connection that said nothing may be dead without anybody having noticed. And how long to
    // wait before the next one is the drain's to say: gRPC's own backoff would come on top.
    if (!answered) channel.close();
    if (!call.sent() && answer.code != GRPC_STATUS_OK) {
      channel.close();
      return transport_failure(answer.message);
    }
    SendResult result = judge_rpc_answer(answer);
    result.unanswered = !answered;
    return result;
  }

 private:
  /// Whether this status came from the upstream. gRPC gives lost connections the code of an
  /// upstream that is busy.
  bool is_answered(int code, gpr_timespec deadline) const {
    if (code == GRPC_STATUS_UNAVAILABLE) return connection_->channel.connected();
    return code != GRPC_STATUS_DEADLINE_EXCEEDED ||
           gpr_time_cmp(gpr_now(GPR_CLOCK_MONOTONIC), deadline) < 0;
  }

  /// Nobody looks at the socket between two calls: has the upstream hung up, this finds out, and
  /// the call then makes a new connection instead of failing on the old one.
  void notice_hang_up() {
    char nothing = 0;
    grpc_completion_queue_pluck(connection_->queue, &nothing, gpr_time_0(GPR_CLOCK_MONOTONIC),
                                nullptr);
  }

  const OtlpGrpcOptions options_;
  const Signal signal_;
  std::optional<Connection> connection_;
};

bool is_reserved(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kReserved{"content-type", "te", "user-agent",
                                                             "host", "connection"};
  return name.starts_with("grpc-") ||
         std::find(kReserved.begin(), kReserved.end(), name) != kReserved.end();
}

}  // namespace

bool is_sendable_metadata(std::string_view name, std::string_view value) {
  const auto is_name_char = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  };
  const auto is_printable = [](char c) { return c >= 0x20 && c <= 0x7E; };
  return !name.empty() && std::all_of(name.begin(), name.end(), is_name_char) &&
         !is_reserved(name) &&
         (name.ends_with("-bin") || std::all_of(value.begin(), value.end(), is_printable));
}

std::unique_ptr<Exporter> make_otlp_grpc_exporter(const OtlpGrpcOptions& options, Signal signal) {
  return std::make_unique<OtlpGrpcExporter>(options, signal);
}

}  // namespace holdfast
