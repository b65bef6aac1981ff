#include "agent/http_receiver.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "agent/content_coding.h"
#include "agent/http_path.h"
#include "agent/http_receiver_answers.h"
#include "agent/http_receiver_cors.h"
#include "agent/http_receiver_forward.h"
#include "agent/http_server.h"
#include "agent/http_server_response.h"
#include "agent/logging.h"
#include "agent/otlp_json.h"
#include "agent/rpc_status.h"
#include "agent/tracer.h"

namespace holdfast {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;
using Reason = HttpServer::Refusal::Reason;

// More than this waits for no further request: the commit is worth its sync.
constexpr std::size_t kCommitBytes = 1U << 20;

// Buffers between requests; a larger one goes back to the system.
constexpr std::size_t kBufferBytesKept = 1U << 20;

constexpr std::string_view kTooLarge = "http: request body too large";
constexpr std::string_view kOverBudget = "too many bytes in flight, try again later";

constexpr std::array<std::string_view, 8> kCodings{"",       "gzip",    "zstd", "zlib",
                                                   "snappy", "deflate", "lz4",  "x-snappy-framed"};

bool is_supported(std::string_view coding, const std::vector<std::string>& listed) {
  if (!listed.empty()) return std::find(listed.begin(), listed.end(), coding) != listed.end();
  return std::find(kCodings.begin(), kCodings.end(), coding) != kCodings.end();
}

bool names_content_type(const std::string& name) {
  static constexpr std::string_view kName = "content-type";
  return std::equal(name.begin(), name.end(), kName.begin(), kName.end(),
                    [](char a, char b) { return (a | 0x20) == b; });
}

/// What of a request is needed for its answer.
struct Asker {
  HttpReply reply;
  OtlpEncoding encoding;
  Headers headers;
  std::optional<OpenSpan> span;
};

class Receiver final : public HttpReceiver {
 public:
  Receiver(const HttpReceiverConfig& config, const SignalLogs& logs, ReceiverStats& stats,
           ByteBudget& budget, SignalForwarders forwarders)
      : config_(config),
        cors_(config.cors),
        stats_(stats),
        budget_(budget),
        forwarding_(std::move(forwarders)),
        batch_(logs, config.source, forwarded_signals(forwarding_.forwarders())) {}
  ~Receiver() override { stop(std::chrono::milliseconds::zero()); }

  Status listen(const HeldSockets& held);
  Result<std::function<void()>> prepare(const HttpReceiverConfig& config, SignalLogs logs,
                                        const HeldSockets& held) override;
  std::uint16_t port() const override { return server_->port(); }
  HeldSockets sockets() const override { return server_->sockets(); }
  void stop(std::chrono::milliseconds grace) override {
    if (server_) server_->stop(grace);
    forwarding_.detach();
  }

 private:
  HttpServerOptions server_options(const HttpReceiverConfig& config);
  HttpServer::Handlers handlers();
  std::optional<Signal> signal_of(const HttpRequest& request) const;
  ReceiverSignalStats* stats_of(const HttpRequest& request);
  Headers headers_for(const HttpRequest& request) const;
  std::unique_ptr<HttpResponse> judge_head(const HttpRequest& head) const;
  std::optional<HttpResponse> verdict(const HttpRequest& head) const;
  std::optional<HttpResponse> refuse_stranger(const HttpRequest& head) const;
  HttpResponse refuse(Reason reason, const HttpRequest& head);
  HttpResponse refusal(Reason reason, const HttpRequest& head) const;
  void handle(const HttpRequest& request, HttpReply reply);
  static void answer(const Asker& asker, const IngestResult& result);
  void forward(const Asker& asker, ForwardRequest request);
  std::optional<HttpResponse> decode(const HttpRequest& request, const Asker& asker,
                                     ReceiverSignalStats& stats, std::string_view& bytes);
  std::optional<HttpResponse> read_json(Signal signal, std::string_view& bytes,
                                        ReceiverSignalStats& stats);

  // The server's thread's, once that runs.
  HttpReceiverConfig config_;
  CorsPolicy cors_;
  std::unique_ptr<Authenticator> authenticator_;  // none: everybody may send
  ReceiverStats& stats_;
  ByteBudget& budget_;
  HttpForwarding forwarding_;
  IngestBatch batch_;
  OtlpJsonParser json_;
  std::string decoded_;
  std::string wire_;
  std::unique_ptr<HttpServer> server_;  // last: its thread uses all of the above
};

void add_headers(HttpResponse& response, const Headers& headers) {
  for (const auto& header : headers) {
    const bool replaced = names_content_type(header.first) && !response.content_type.empty();
    if (!replaced) response.headers.push_back(header);
  }
}

void count_unknown(ReceiverSignalStats& stats, Counter& outcome) {
  stats.requests.fetch_add(1, std::memory_order_relaxed);
  outcome.fetch_add(1, std::memory_order_relaxed);  // its items are not known
}

void forget(std::string& buffer) {
  buffer.clear();
  if (buffer.capacity() > kBufferBytesKept) buffer.shrink_to_fit();
}

Result<std::unique_ptr<Authenticator>> load_authenticator(const HttpReceiverConfig& config) {
  if (!config.auth) return std::unique_ptr<Authenticator>();
  return Authenticator::load(*config.auth);
}

HttpServerOptions Receiver::server_options(const HttpReceiverConfig& config) {
  HttpServerOptions options;
  options.endpoint = config.endpoint;
  options.tls = config.tls;
  options.body_bytes_max = config.request_body_bytes_max;
  options.header_timeout = config.read_header_timeout;
  options.body_timeout = config.read_timeout;
  options.idle_timeout = config.idle_timeout;
  options.write_timeout = config.write_timeout;
  options.keep_alive = config.keep_alives;
  options.budget = &budget_;
  return options;
}

HttpServer::Handlers Receiver::handlers() {
  HttpServer::Handlers handlers;
  handlers.head = [this](const HttpRequest& head) { return judge_head(head); };
  handlers.refuse = [this](const HttpServer::Refusal& refusal, const HttpRequest& head) {
    return refuse(refusal.reason, head);
  };
  handlers.handle = [this](const HttpRequest& request, HttpReply reply) {
    handle(request, std::move(reply));
  };
  handlers.end_of_burst = [this] { batch_.commit(); };
  return handlers;
}

Status Receiver::listen(const HeldSockets& held) {
  auto loaded = load_authenticator(config_);
  if (!loaded.ok()) return loaded.error();
  authenticator_ = std::move(loaded).value();
  auto started = HttpServer::start(server_options(config_), handlers(), held);
  if (!started.ok()) return started.error();
  server_ = std::move(started).value();
  forwarding_.attach(*server_);
  return {};
}

Result<std::function<void()>> Receiver::prepare(const HttpReceiverConfig& config, SignalLogs logs,
                                                const HeldSockets& held) {
  auto loaded = load_authenticator(config);
  if (!loaded.ok()) return loaded.error();
  // Shared since a std::function wants to be copied.
  const auto authenticator =
      std::make_shared<std::unique_ptr<Authenticator>>(std::move(loaded).value());
  return server_->prepare(server_options(config), handlers(), held,
                          [this, config, logs, authenticator] {
                            batch_.send_to(logs);
                            config_ = config;
                            cors_ = CorsPolicy(config.cors);
                            authenticator_ = std::move(*authenticator);
                          });
}

std::optional<Signal> Receiver::signal_of(const HttpRequest& request) const {
  for (const Signal signal : kSignals) {
    if (batch_.takes(signal) && is_path(request.path(), config_.paths[index_of(signal)])) {
      return signal;
    }
  }
  return std::nullopt;
}

ReceiverSignalStats* Receiver::stats_of(const HttpRequest& request) {
  const std::optional<Signal> signal = signal_of(request);
  return signal ? &stats_.signals[index_of(*signal)] : nullptr;
}

Headers Receiver::headers_for(const HttpRequest& request) const {
  Headers headers = config_.response_headers;
  if (cors_.enabled()) {
    for (auto& header : cors_.actual(request)) headers.push_back(std::move(header));
  }
  return headers;
}

std::optional<HttpResponse> Receiver::refuse_stranger(const HttpRequest& head) const {
  if (authenticator_ == nullptr) return std::nullopt;
  const auto reason = authenticator_->refuse(head.header(authenticator_->header()));
  if (!reason) return std::nullopt;
  log(LogLevel::warn, "request refused", {{"transport", "http"}, {"reason", *reason}});
  return unauthenticated_answer(encoding_of(head.header("Content-Type")), *reason,
                                authenticator_->challenge());
}

/// What can be said before the body is read, in the Collector's order.
std::optional<HttpResponse> Receiver::verdict(const HttpRequest& head) const {
  if (auto refused = refuse_stranger(head)) return refused;
  const std::string_view coding = head.header("Content-Encoding");
  const std::string_view content_type = head.header("Content-Type");
  if (!is_supported(coding, config_.compression_algorithms)) {
    return coding_answer(encoding_of(content_type), coding);
  }
  if (!signal_of(head)) {
    std::string clean = clean_path(head.path());
    if (clean == head.path() || !head.path().starts_with('/')) return not_found_answer();
    return redirect_answer(clean.append(head.query()));
  }
  if (head.method != "POST") return method_answer();
  if (encoding_of(content_type) == OtlpEncoding::other) return media_type_answer();
  return std::nullopt;
}

std::unique_ptr<HttpResponse> Receiver::judge_head(const HttpRequest& head) const {
  if (cors_.enabled() && CorsPolicy::is_preflight(head)) {
    auto response = std::make_unique<HttpResponse>();
    response->status = 204;
    response->headers = config_.response_headers;
    for (auto& header : cors_.preflight(head)) response->headers.push_back(std::move(header));
    return response;
  }
  std::optional<HttpResponse> response = verdict(head);
  if (!response) return nullptr;
  add_headers(*response, headers_for(head));
  return std::make_unique<HttpResponse>(*std::move(response));
}

HttpResponse Receiver::refusal(Reason reason, const HttpRequest& head) const {
  const OtlpEncoding encoding = encoding_of(head.header("Content-Type"));
  switch (reason) {
    case Reason::body_too_large:
      return status_answer(encoding, kRpcInvalidArgument, kTooLarge);
    case Reason::budget:
      return unavailable_answer(encoding, kOverBudget);
    case Reason::timeout:
      // A slow line is no fault of the data: the client may send it again.
      return unavailable_answer(encoding, "i/o timeout");
    case Reason::bad_http:
      return status_answer(encoding, kRpcInvalidArgument, "unexpected EOF");
    case Reason::header_too_large:
      break;
  }
  return default_refusal(reason);
}

HttpResponse Receiver::refuse(Reason reason, const HttpRequest& head) {
  ReceiverSignalStats* const stats = stats_of(head);
  if (stats == nullptr) return default_refusal(reason);  // there was no whole head
  count_unknown(*stats, reason == Reason::budget ? stats->refused : stats->failed);
  HttpResponse response = refusal(reason, head);
  add_headers(response, headers_for(head));
  return response;
}

std::optional<HttpResponse> Receiver::decode(const HttpRequest& request, const Asker& asker,
                                             ReceiverSignalStats& stats, std::string_view& bytes) {
  const std::string_view coding = request.header("Content-Encoding");
  if (coding.empty()) return std::nullopt;
  decoded_.clear();
  const DecodeError error =
      decode_content(coding, request.body, config_.request_body_bytes_max, decoded_);
  if (error != DecodeError::none) {
    count_unknown(stats, stats.failed);
    return status_answer(asker.encoding, kRpcInvalidArgument,
                         error == DecodeError::too_large ? std::string(kTooLarge)
                                                         : std::string(coding) + ": corrupt input");
  }
  if (!asker.reply.lease(decoded_.size())) {
    count_unknown(stats, stats.refused);
    return unavailable_answer(asker.encoding, kOverBudget);
  }
  bytes = decoded_;
  return std::nullopt;
}

std::optional<HttpResponse> Receiver::read_json(Signal signal, std::string_view& bytes,
                                                ReceiverSignalStats& stats) {
  wire_.clear();
  if (const Status status = json_.to_wire(signal, bytes, wire_); !status) {
    count_unknown(stats, stats.failed);
    return status_answer(OtlpEncoding::json, kRpcInvalidArgument, status.error().message);
  }
  bytes = wire_;
  return std::nullopt;
}

void Receiver::answer(const Asker& asker, const IngestResult& result) {
  HttpResponse response;
  switch (result.outcome) {
    case IngestResult::Outcome::stored:
      response = success_answer(asker.encoding);
      break;
    case IngestResult::Outcome::refused:
      response = status_answer(asker.encoding, kRpcInvalidArgument, result.message);
      break;
    case IngestResult::Outcome::full:
      response = unavailable_answer(asker.encoding, result.message);
      break;
  }
  add_headers(response, asker.headers);
  asker.reply.send(std::move(response));
}

void Receiver::forward(const Asker& asker, ForwardRequest request) {
  const Signal signal = request.signal;
  const auto items = static_cast<std::uint32_t>(request.items);
  forwarding_.forward(
      std::move(request), asker.reply, [this, asker, signal, items](const ForwardAnswer& told) {
        const bool taken = told.code == kRpcOk;
        end_request_span(stats_, signal, asker.span, taken ? "" : told.message);
        batch_.note_forwarded(signal, stats_.signals[index_of(signal)], items, taken);
        HttpResponse response =
            taken ? partial_answer(asker.encoding, signal, told.rejected_items, told.message)
                  : status_answer(asker.encoding, told.code, told.message, told.retry_after);
        add_headers(response, asker.headers);
        asker.reply.send(std::move(response));
      });
}

void Receiver::handle(const HttpRequest& request, HttpReply reply) {
  const std::optional<Signal> found = signal_of(request);
  if (!found) return reply.send(not_found_answer());  // reloaded since judge_head() let it pass
  const Signal signal = *found;
  ReceiverSignalStats& stats = stats_.signals[index_of(signal)];
  stats.wire_bytes.fetch_add(request.body.size(), std::memory_order_relaxed);
  Asker asker{
      std::move(reply), encoding_of(request.header("Content-Type")), headers_for(request), {}};
  if (stats_.tracer != nullptr) asker.span = stats_.tracer->start(request.header("traceparent"));
  std::string_view bytes = request.body;
  std::optional<HttpResponse> refused = decode(request, asker, stats, bytes);
  if (!refused && asker.encoding == OtlpEncoding::json) refused = read_json(signal, bytes, stats);
  if (refused) {
    end_request_span(stats_, signal, asker.span, "HTTP " + std::to_string(refused->status));
    add_headers(*refused, asker.headers);
    asker.reply.send(*std::move(refused));
  } else {
    std::shared_ptr<const std::string> copy;  // for the upstream
    if (forwarding_.takes(signal)) copy = std::make_shared<const std::string>(bytes);
    batch_.accept(signal, bytes, stats, [this, asker, copy, signal](const IngestResult& result) {
      if (copy == nullptr || result.items == 0) {
        end_request_span(stats_, signal, asker.span, result.message);
        return answer(asker, result);
      }
      forward(asker, {.signal = signal, .body = copy, .items = result.items});
    });
  }
  forget(decoded_);
  forget(wire_);
  if (batch_.pending_bytes() >= kCommitBytes) batch_.commit();
}

}  // namespace

Result<std::unique_ptr<HttpReceiver>> HttpReceiver::start(const HttpReceiverConfig& config,
                                                          SignalLogs logs, ReceiverStats& stats,
                                                          ByteBudget& budget,
                                                          SignalForwarders forwarders,
                                                          const HeldSockets& held) {
  auto receiver = std::make_unique<Receiver>(config, logs, stats, budget, std::move(forwarders));
  if (Status status = receiver->listen(held); !status) return status.error();
  return std::unique_ptr<HttpReceiver>(std::move(receiver));
}

}  // namespace holdfast
