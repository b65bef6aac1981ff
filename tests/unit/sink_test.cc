// The sink as an upstream: what it takes, refuses and counts.
#include "agent/sink.h"

#include <gtest/gtest.h>

#include <future>
#include <iostream>
#include <sstream>
#include <streambuf>
#include <string>
#include <thread>

#include "agent/content_coding.h"
#include "exporters/otlp_http.h"

namespace holdfast {
namespace {

using Outcome = SendResult::Outcome;

/// Standard output while it lives; tells when its first line is there.
class CapturedOutput : public std::streambuf {
 public:
  CapturedOutput() : before_(std::cout.rdbuf(this)) {}
  ~CapturedOutput() override { std::cout.rdbuf(before_); }
  std::string first_line() { return first_.get_future().get(); }
  const std::string& text() const { return text_; }  // once its writer has ended

 protected:
  int_type overflow(int_type c) override {
    text_ += traits_type::to_char_type(c);
    if (!told_ && c == '\n') {
      told_ = true;
      first_.set_value(text_);
    }
    return c;
  }

 private:
  std::streambuf* before_;
  std::string text_;
  bool told_ = false;
  std::promise<std::string> first_;
};

class SinkTest : public testing::Test {
 protected:
  void start(int fail_status = 0) {
    const SinkOptions options{.endpoint = "127.0.0.1:0", .fail_status = fail_status, .quiet = true};
    sink_ = std::jthread([this, options] { code_ = run_sink(options, stop_.get_token()); });
    const std::string line = output_.first_line();
    port_ = line.substr(line.rfind(' ') + 1);
    port_.pop_back();
  }
  void stop() {
    stop_.request_stop();
    sink_.join();
  }
  SendResult send(std::string_view raw, ContentCoding coding, Signal signal = Signal::traces,
                  const std::string& path = "") {
    OtlpHttpOptions options;
    options.urls.fill("http://127.0.0.1:" + port_ +
                      (path.empty() ? std::string(traits(signal).http_path) : path));
    options.compression = coding;
    const auto coded = encode_content(coding, raw);
    if (!coded) return {.message = coded.error().message};
    return make_otlp_http_exporter(options, signal)
        ->send({.signal = signal, .coding = coding, .body = *coded}, {});
  }

  CapturedOutput output_;
  std::stop_source stop_;
  std::string port_;
  int code_ = -1;
  std::jthread sink_;
};

/// ResourceSpans{ScopeSpans{two empty spans}}: the same nesting holds log records.
const std::string kTwoItems("\x0A\x06\x12\x04\x12\x00\x12\x00", 8);

TEST_F(SinkTest, CountsItemsInEveryCoding) {
  start();
  for (const auto coding : {ContentCoding::identity, ContentCoding::gzip, ContentCoding::zlib,
                            ContentCoding::zstd, ContentCoding::snappy, ContentCoding::lz4}) {
    EXPECT_EQ(send(kTwoItems, coding).outcome, Outcome::delivered) << coding_name(coding);
  }
  EXPECT_EQ(send(kTwoItems, ContentCoding::gzip, Signal::logs).outcome, Outcome::delivered);
  stop();
  EXPECT_EQ(code_, 0);
  EXPECT_NE(output_.text().find("total 7 requests: 12 spans 0 metric_points 2 log_records\n"),
            std::string::npos)
      << output_.text();
}

TEST_F(SinkTest, NamesProfilesOnceAnyHaveCome) {
  start();
  // ResourceProfiles{ScopeProfiles{Profile{three empty samples}}}, and a dictionary.
  const std::string samples("\x0A\x0A\x12\x08\x12\x06\x12\x00\x12\x00\x12\x00\x12\x00", 14);
  EXPECT_EQ(send(samples, ContentCoding::gzip, Signal::profiles).outcome, Outcome::delivered);
  stop();
  EXPECT_NE(output_.text().find("total 1 requests: 0 spans 0 metric_points 0 log_records "
                                "3 profile_samples\n"),
            std::string::npos)
      << output_.text();
}

TEST_F(SinkTest, RefusesWhatIsNotARequest) {
  start();
  EXPECT_EQ(send("\x0A\xFF", ContentCoding::gzip).status, 400);
  EXPECT_EQ(send(kTwoItems, ContentCoding::gzip, Signal::traces, "/elsewhere").status, 404);
  stop();
  EXPECT_NE(output_.text().find("total 0 requests"), std::string::npos);
}

TEST_F(SinkTest, FailsAsAsked) {
  start(503);
  const SendResult result = send(kTwoItems, ContentCoding::gzip);
  EXPECT_EQ(result.status, 503);
  EXPECT_EQ(result.outcome, Outcome::retry);
  stop();
}

TEST(Sink, EndpointThatCannotBeUsedEndsIt) {
  CapturedOutput output;
  EXPECT_EQ(run_sink({.endpoint = "nonsense"}, {}), 1);
}

}  // namespace
}  // namespace holdfast
