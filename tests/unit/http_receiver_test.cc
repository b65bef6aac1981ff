// Row by row: what the Collector's OTLP/HTTP receiver does, and so what ours does.
#include "agent/http_receiver.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "agent/content_coding.h"
#include "proto/error_details.pb.h"
#include "tests/support/http_receiver_fixture.h"

namespace holdfast {
namespace {

using HttpReceiverTest = HttpReceiverFixture;

const std::string kSuccess{"\x0a\x00", 2};

std::string golden(const std::string& name) {
  std::ifstream in(std::string(HOLDFAST_GOLDEN_DIR) + "/payloads/" + name, std::ios::binary);
  EXPECT_TRUE(in.good()) << name;
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST_F(HttpReceiverTest, EndpointsRow) {
  EXPECT_EQ("localhost:4318", HttpReceiverConfig().endpoint);
  config_.endpoint = "localhost:0";
  start();
  EXPECT_EQ(200, exchange(http_post(spans_request(1))).status);
}

TEST_F(HttpReceiverTest, EndpointInUseIsNamed) {
  start();
  config_.endpoint = "127.0.0.1:" + std::to_string(receiver_->port());
  const auto second = HttpReceiver::start(config_, {}, stats_, *budget_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ("listen tcp " + config_.endpoint + ": address already in use", second.error().message);
}

TEST_F(HttpReceiverTest, PathsRow) {
  signals_ = {Signal::traces, Signal::logs};  // no pipeline takes metrics
  start();
  RawHttpClient one = client();
  EXPECT_EQ(200, one.exchange(http_post("", kProtobufType, "", "/v1/traces")).status);
  EXPECT_EQ(200, one.exchange(http_post("", kProtobufType, "", "/v1/logs")).status);
  EXPECT_EQ(200, one.exchange(http_post("", kProtobufType, "", "/v1/logs?a=b")).status);
  for (const char* target : {"/v1/metrics", "/v1/traces/", "/", "/v1", "/V1/traces", "/v1/traces2",
                             "/v1development/profiles", "/v1%2Ftraces", "*"}) {
    const RawResponse response = one.exchange(http_post("x", kProtobufType, "", target));
    EXPECT_EQ(404, response.status) << target;
    EXPECT_EQ("404 page not found\n", response.body);
    EXPECT_EQ("text/plain; charset=utf-8", response.header("Content-Type"));
    EXPECT_EQ("nosniff", response.header("X-Content-Type-Options"));
  }
}

TEST_F(HttpReceiverTest, APathThatIsNotCleanIsSentToTheOneThatIs) {
  start();
  RawHttpClient one = client();
  const RawResponse slashes =
      one.exchange(http_post("x", kProtobufType, "", "//v1/traces?a=/b//c"));
  EXPECT_EQ(307, slashes.status);
  EXPECT_EQ("/v1/traces?a=/b//c", slashes.header("Location"));
  EXPECT_EQ("", slashes.body);
  EXPECT_EQ("/elsewhere",
            one.exchange(http_post("x", kProtobufType, "", "/v1/../elsewhere")).header("Location"));
  EXPECT_EQ(0U, stored().size());
}

TEST_F(HttpReceiverTest, PathsMayBeEscapedOrWhole) {
  start();
  RawHttpClient one = client();
  for (const char* target :
       {"/v1/%74races", "http://agent/v1/traces", "http://agent:4318/v1/traces?a"}) {
    EXPECT_EQ(200, one.exchange(http_post(spans_request(1), kProtobufType, "", target)).status)
        << target;
  }
  EXPECT_EQ(404, one.exchange(http_post("x", kProtobufType, "", "http://agent")).status);
}

TEST_F(HttpReceiverTest, PathsCanBeConfigured) {
  config_.paths[index_of(Signal::traces)] = "/otlp/spans";
  start();
  EXPECT_EQ(200, exchange(http_post(spans_request(1), kProtobufType, "", "/otlp/spans")).status);
  EXPECT_EQ(404, exchange(http_post(spans_request(1))).status);
}

TEST_F(HttpReceiverTest, MethodRow) {
  start();
  RawHttpClient one = client();
  for (const char* method : {"GET", "PUT", "DELETE", "OPTIONS", "PATCH", "post"}) {
    const RawResponse response =
        one.exchange(std::string(method) + " /v1/traces HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(405, response.status) << method;
    EXPECT_EQ("405 method not allowed, supported: [POST]", response.body);
    EXPECT_EQ("text/plain", response.header("Content-Type"));
  }
  one.send("HEAD /v1/traces HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(405, one.receive(true).status);
  EXPECT_EQ(200, one.exchange(http_post("")).status);  // and HEAD had no body
}

TEST_F(HttpReceiverTest, ContentTypeRow) {
  start();
  RawHttpClient one = client();
  for (const char* type :
       {"application/x-protobuf", "application/x-protobuf; charset=utf-8", "Application/X-Protobuf",
        "application/x-protobuf ;x=y", "application/x-protobuf;"}) {
    const RawResponse response = one.exchange(http_post(spans_request(1), type));
    EXPECT_EQ(200, response.status) << type;
    EXPECT_EQ("application/x-protobuf", response.header("Content-Type"));
  }
  for (const char* type : {"application/json", "application/json; charset=utf-8"}) {
    const RawResponse response = one.exchange(http_post("{}", type));
    EXPECT_EQ(200, response.status) << type;
    EXPECT_EQ("application/json", response.header("Content-Type"));
  }
  for (const char* type : {"", "text/plain", "application/protobuf", "application/x-protobufs",
                           "application/json+x", "x application/json", "application/grpc"}) {
    const RawResponse response = one.exchange(http_post(spans_request(1), type));
    EXPECT_EQ(415, response.status) << type;
    EXPECT_EQ("415 unsupported media type, supported: [application/json, application/x-protobuf]",
              response.body);
    EXPECT_EQ("text/plain", response.header("Content-Type"));
  }
}

TEST_F(HttpReceiverTest, ContentEncodingRow) {
  start();
  RawHttpClient one = client();
  const std::string raw = spans_request(300);
  std::vector<std::pair<std::string, std::string>> bodies;
  for (const auto& [name, coding] :
       std::vector<std::pair<std::string, ContentCoding>>{{"gzip", ContentCoding::gzip},
                                                          {"zstd", ContentCoding::zstd},
                                                          {"zlib", ContentCoding::zlib},
                                                          {"deflate", ContentCoding::zlib},
                                                          {"snappy", ContentCoding::snappy},
                                                          {"lz4", ContentCoding::lz4}}) {
    bodies.emplace_back(name, *encode_content(coding, raw));
  }
  const std::string framed =  // one stored chunk; its checksum is crc32c, masked
      [&] {
        const std::string_view part = raw;
        const std::uint32_t crc = crc32c(0, part);
        const std::uint32_t masked = (crc >> 15 | crc << 17) + 0xa282ead8U;
        std::string out("\xff\x06\x00\x00sNaPpY\x01", 11);
        for (int i = 0; i < 3; ++i) out += static_cast<char>((part.size() + 4) >> (8 * i));
        for (int i = 0; i < 4; ++i) out += static_cast<char>(masked >> (8 * i));
        return out.append(part);
      }();
  ASSERT_LT(raw.size(), 65536U);
  bodies.emplace_back("snappy", framed);
  bodies.emplace_back("x-snappy-framed", framed);
  std::uint64_t wire_bytes = 0;
  for (const auto& [name, body] : bodies) {
    const RawResponse response = one.exchange(http_post(body, kProtobufType, coded(name)));
    EXPECT_EQ(200, response.status) << name;
    wire_bytes += body.size();
  }
  EXPECT_EQ(std::vector<std::string>(bodies.size(), raw), stored());
  EXPECT_EQ(wire_bytes, traces().wire_bytes);
  EXPECT_EQ(bodies.size() * raw.size(), traces().raw_bytes);
}

TEST_F(HttpReceiverTest, ContentEncodingRowUnsupported) {
  start();
  RawHttpClient one = client();
  for (const char* coding : {"br", "identity", "GZIP", "gzip, gzip", "x-gzip"}) {
    expect_status(one.exchange(http_post("x", kProtobufType, coded(coding))), 400, 3,
                  "unsupported Content-Encoding: " + std::string(coding));
    const RawResponse json = one.exchange(http_post("x", kJsonType, coded(coding)));
    EXPECT_EQ(400, json.status);
    EXPECT_EQ("application/json", json.header("Content-Type"));
    EXPECT_EQ(
        "{\"code\":3,\"message\":\"unsupported Content-Encoding: " + std::string(coding) + "\"}",
        json.body);
  }
  // It is judged first: before the path and before the content type.
  EXPECT_EQ(400, one.exchange(http_post("x", kProtobufType, coded("br"), "/nowhere")).status);
  EXPECT_EQ(400, one.exchange(http_post("x", "text/plain", coded("br"))).status);
}

TEST_F(HttpReceiverTest, ContentEncodingRowCorruptBodies) {
  start();
  RawHttpClient one = client();
  for (const char* coding :
       {"gzip", "zstd", "zlib", "deflate", "snappy", "lz4", "x-snappy-framed"}) {
    expect_status(one.exchange(http_post("not compressed", kProtobufType, coded(coding))), 400, 3,
                  std::string(coding) + ": corrupt input");
  }
  EXPECT_EQ(7U, traces().failed);
  EXPECT_TRUE(stored().empty());
}

TEST_F(HttpReceiverTest, BodyLimitRow) {
  EXPECT_EQ(20U << 20, HttpReceiverConfig().request_body_bytes_max);
  config_.request_body_bytes_max = 10'000;
  start();
  const std::string message = "http: request body too large";
  const std::string zeros(10'001, '\0');
  const std::string chunked =
      "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\n"
      "Transfer-Encoding: chunked\r\n\r\n2711\r\n" +
      zeros + "\r\n0\r\n\r\n";
  expect_status(exchange(http_post(zeros)), 400, 3, message);
  expect_status(exchange(chunked), 400, 3, message);
  for (const auto& [name, coding] :
       std::vector<std::pair<std::string, ContentCoding>>{{"gzip", ContentCoding::gzip},
                                                          {"zstd", ContentCoding::zstd},
                                                          {"zlib", ContentCoding::zlib},
                                                          {"snappy", ContentCoding::snappy},
                                                          {"lz4", ContentCoding::lz4}}) {
    const std::string bomb = *encode_content(coding, std::string(50U << 20, '\0'));
    expect_status(exchange(http_post(bomb, kProtobufType, coded(name))), 400, 3, message);
    expect_status(exchange(http_post(*encode_content(coding, zeros), kProtobufType, coded(name))),
                  400, 3, message);
  }
  const RawResponse json = exchange(http_post(zeros, kJsonType));
  EXPECT_EQ(400, json.status);
  EXPECT_EQ(R"({"code":3,"message":"http: request body too large"})", json.body);
  EXPECT_TRUE(nothing_in_flight());
}

TEST_F(HttpReceiverTest, SuccessRow) {
  start();
  RawHttpClient one = client();
  const RawResponse protobuf = one.exchange(http_post(spans_request(3)));
  EXPECT_EQ(200, protobuf.status);
  EXPECT_EQ(kSuccess, protobuf.body);
  EXPECT_EQ("application/x-protobuf", protobuf.header("Content-Type"));
  EXPECT_EQ(std::vector<std::string>{spans_request(3)}, stored());
  const RawResponse json =
      one.exchange(http_post(golden("node/traces-http-json-1.json"), "application/json"));
  EXPECT_EQ(200, json.status);
  EXPECT_EQ(R"({"partialSuccess":{}})", json.body);
  EXPECT_EQ("application/json", json.header("Content-Type"));
  EXPECT_EQ(1U, stored().size());
}

TEST_F(HttpReceiverTest, SuccessRowNothingToStore) {
  start();
  RawHttpClient one = client();
  for (const std::string& empty : {std::string(), std::string("\x0a\x00", 2), spans_request(0)}) {
    EXPECT_EQ(kSuccess, one.exchange(http_post(empty)).body);
  }
  for (const char* empty : {"{}", R"({"resourceSpans":[]})", R"({"resourceSpans":null})"}) {
    EXPECT_EQ(200, one.exchange(http_post(empty, kJsonType)).status) << empty;
  }
  const RawResponse nothing = one.exchange(http_post("", kJsonType));
  EXPECT_EQ(400, nothing.status);
  EXPECT_EQ("application/json", nothing.header("Content-Type"));
  EXPECT_TRUE(nothing.body.starts_with(R"({"code":3,"message":")")) << nothing.body;
  const std::string unknown = R"({"resourceSpans":[],"unknown":{"a":[1,2,{"b":null}]}})";
  EXPECT_EQ(200, one.exchange(http_post(unknown, kJsonType)).status);
  EXPECT_TRUE(stored().empty());
  EXPECT_EQ(0U, traces().accepted);
}

TEST_F(HttpReceiverTest, ErrorsRow) {
  start();
  RawHttpClient one = client();
  expect_status(one.exchange(http_post("\xff\xff\xff")), 400, 3, "unexpected EOF");
  const RawResponse json = one.exchange(http_post("{", kJsonType));
  EXPECT_EQ(400, json.status);
  EXPECT_EQ("application/json", json.header("Content-Type"));
  EXPECT_TRUE(json.body.starts_with(R"({"code":3,"message":")")) << json.body;
}

TEST_F(HttpReceiverTest, RetryAfterRowAndUnavailableInTheCodesRow) {
  log_options_.free_bytes_min = std::uint64_t{1} << 62;  // no disk is as free as that
  start();
  RawHttpClient one = client();
  const RawResponse response = one.exchange(http_post(spans_request(7)));
  EXPECT_EQ(503, response.status);
  EXPECT_EQ("1", response.header("Retry-After"));
  google::rpc::Status status;
  ASSERT_TRUE(status.ParseFromString(response.body));
  EXPECT_EQ(14, status.code());
  ASSERT_EQ(1, status.details_size());
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(status.details(0).UnpackTo(&retry));
  EXPECT_EQ(1, retry.retry_delay().seconds());
  const RawResponse json =
      one.exchange(http_post(golden("node/traces-http-json-1.json"), kJsonType));
  EXPECT_EQ(503, json.status);
  EXPECT_EQ("1", json.header("Retry-After"));
  EXPECT_NE(std::string::npos, json.body.find(R"("code":14)")) << json.body;
  EXPECT_NE(std::string::npos, json.body.find(R"("retryDelay":"1s")")) << json.body;
  EXPECT_EQ(0U, traces().accepted);
  EXPECT_LE(8U, traces().refused);
}

TEST_F(HttpReceiverTest, BadProtobufRow) {
  start();
  RawHttpClient one = client();
  const std::string good = spans_request(2);
  expect_status(one.exchange(http_post(good.substr(0, good.size() - 1))), 400, 3, "unexpected EOF");
  std::string bad_trace_id("\x0a\x07\x12\x05\x12\x03\x0a\x01x", 9);
  expect_status(one.exchange(http_post(bad_trace_id)), 400, 3, "unmarshal: invalid TraceID length");
  expect_status(one.exchange(http_post("\x0b")), 400, 3,
                "proto: wrong wireType = 3 for field ResourceSpans");
  EXPECT_EQ(3U, traces().failed);
  EXPECT_TRUE(stored().empty());
}

TEST_F(HttpReceiverTest, BadProtobufRowInvalidUtf8AndUnknownFieldsPass) {
  start();
  RawHttpClient one = client();
  std::string invalid = spans_request(1, "name-");
  invalid[invalid.find("name-")] = '\xff';
  const std::string unknown = spans_request(1) + std::string("\xba\x3e\x03xyz", 6);
  EXPECT_EQ(200, one.exchange(http_post(invalid)).status);
  EXPECT_EQ(200, one.exchange(http_post(unknown)).status);
  EXPECT_EQ((std::vector<std::string>{invalid, unknown}), stored());
  EXPECT_EQ(1U, traces().invalid_utf8);
  EXPECT_EQ(2U, traces().accepted);
}

TEST_F(HttpReceiverTest, OtlpJsonRow) {
  start();
  RawHttpClient one = client();
  const std::string json =
      R"({"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0102030405060708090A0b0c0d0e0f10",)"
      R"("spanId":"0102030405060708","name":"n","kind":2,"startTimeUnixNano":"17","endTimeUnixNano":18,)"
      R"("attributes":[{"key":"b","value":{"bytesValue":"AQI="}}]}]}]}]})";
  EXPECT_EQ(200, one.exchange(http_post(json, kJsonType)).status);
  const std::vector<std::string> requests = stored();
  ASSERT_EQ(1U, requests.size());
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest request;
  ASSERT_TRUE(request.ParseFromString(requests[0]));
  const auto& span = request.resource_spans(0).scope_spans(0).spans(0);
  EXPECT_EQ("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10", span.trace_id());
  EXPECT_EQ("\x01\x02\x03\x04\x05\x06\x07\x08", span.span_id());
  EXPECT_EQ(2, span.kind());
  EXPECT_EQ(17U, span.start_time_unix_nano());
  EXPECT_EQ(18U, span.end_time_unix_nano());
  EXPECT_EQ("\x01\x02", span.attributes(0).value().bytes_value());
}

TEST_F(HttpReceiverTest, WhatRealSdksSendIsStoredByteForByte) {
  start();
  RawHttpClient one = client();
  int sent = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(HOLDFAST_GOLDEN_DIR "/payloads")) {
    const std::string name = entry.path().filename().string();
    const std::string folder = entry.path().parent_path().filename().string() + "/";
    const bool json = name.find(".json") != std::string::npos;
    if (!name.ends_with(".pb") && !name.ends_with(".json")) continue;
    const std::optional<Signal> signal = signal_from_name(name.substr(0, name.find('-')));
    ASSERT_TRUE(signal) << name;
    const std::string path(traits(*signal).http_path);
    const std::string raw = golden(folder + name);
    const auto type = json ? kJsonType : kProtobufType;
    EXPECT_EQ(200, one.exchange(http_post(raw, type, "", path)).status) << name;
    const std::vector<std::string> plain = stored(*signal);
    ASSERT_EQ(1U, plain.size()) << name;
    EXPECT_TRUE(json || raw == plain[0]) << name;
    ++sent;
    if (!std::filesystem::exists(entry.path().string() + ".wire")) continue;
    const std::string wire = golden(folder + name + ".wire");
    EXPECT_EQ(200, one.exchange(http_post(wire, type, coded("gzip"), path)).status) << name;
    EXPECT_EQ(plain, stored(*signal)) << name;
  }
  EXPECT_GE(sent, 30);
}

}  // namespace
}  // namespace holdfast
