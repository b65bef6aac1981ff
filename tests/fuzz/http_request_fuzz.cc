// The HTTP parser on any bytes: what comes in pieces means what it means in one, and nothing is
// read twice. The first byte sets the size of the pieces.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "agent/http_server_parser.h"

namespace {

using holdfast::BodyFraming;
using holdfast::HttpHeadInfo;
using holdfast::HttpRequest;
using holdfast::HttpRequestParser;
using State = HttpRequestParser::State;

constexpr std::size_t kHeaderBytesMax = 4096;
constexpr std::size_t kRequestsMax = 8;  // of one connection

/// What a connection makes of its input, as text that can be compared.
class Connection {
 public:
  void feed(std::string_view piece) {
    if (ended_) return;
    unread_.append(piece);
    while (!ended_ && step()) {
    }
  }
  const std::string& transcript() const { return transcript_; }

 private:
  /// One parser call as the server makes it; false: more input is needed.
  bool step() {
    if (!in_body_) return read_head();
    if (info_.framing == BodyFraming::chunked) return read_chunks();
    if (unread_.size() < info_.content_length) return false;
    request_.body = unread_.substr(0, info_.content_length);
    unread_.erase(0, info_.content_length);
    end_request();
    return true;
  }

  bool read_head() {
    if (unread_.empty()) return false;
    const auto [state, consumed] = parser_->parse_head(unread_);
    if (!take(consumed, state)) return false;
    if (state == State::need_more) return false;
    info_ = parser_->take_head(request_);
    transcript_ += request_.method + " " + request_.target + "\n";
    for (const auto& [name, value] : request_.headers) transcript_ += name + ":" + value + "\n";
    if (info_.objection) {
      transcript_ += std::to_string(info_.objection->status);
      ended_ = true;
      return false;
    }
    if (info_.framing == BodyFraming::none) {
      end_request();
    } else if (info_.framing == BodyFraming::length && info_.content_length > 1U << 20) {
      ended_ = true;
    } else {
      in_body_ = true;
    }
    return true;
  }

  bool read_chunks() {
    if (unread_.empty()) return false;
    const auto [state, consumed] = parser_->parse_chunks(unread_, request_.body);
    if (!take(consumed, state)) return false;
    if (state == State::need_more) return false;
    end_request();
    return true;
  }

  /// False: the connection has ended.
  bool take(std::size_t consumed, State state) {
    if (consumed > unread_.size()) std::abort();
    unread_.erase(0, consumed);
    if (state != State::bad && state != State::header_too_large) return true;
    ended_ = true;
    return false;
  }

  void end_request() {
    transcript_ += "body:" + request_.body + (info_.keep_alive ? ";\n" : ".\n");
    request_ = {};
    in_body_ = false;
    parser_ = std::make_unique<HttpRequestParser>(kHeaderBytesMax);
    ended_ = !info_.keep_alive || ++requests_ == kRequestsMax;
  }

  std::unique_ptr<HttpRequestParser> parser_ = std::make_unique<HttpRequestParser>(kHeaderBytesMax);
  HttpRequest request_;
  HttpHeadInfo info_;
  std::string unread_;
  std::string transcript_;
  std::size_t requests_ = 0;
  bool in_body_ = false;
  bool ended_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Longer heads meet their limit at a place that depends on the pieces.
  if (size < 2 || size > kHeaderBytesMax) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  Connection whole;
  whole.feed(input);
  Connection pieces;
  const std::size_t length = data[0] % 64 + 1;
  for (std::size_t at = 0; at < input.size(); at += length) pieces.feed(input.substr(at, length));
  // What is torn may be refused at once or waited for, but nothing may follow it.
  if (whole.transcript() != pieces.transcript()) std::abort();
  return 0;
}
