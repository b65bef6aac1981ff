// OTLP/HTTP with credentials and over TLS.
#include <gtest/gtest.h>

#include <string>

#include "tests/support/http_receiver_fixture.h"
#include "tests/support/tls_client.h"
#include "tests/support/tls_files.h"

namespace holdfast {
namespace {

constexpr int kUnauthenticated = 16;

class HttpReceiverAuthTest : public HttpReceiverFixture {
 protected:
  HttpReceiverAuthTest() { config_.auth = AuthenticatorConfig{.tokens = {"token-of-the-test"}}; }

  static std::string authorization(const std::string& value) {
    return "Authorization: " + value + "\r\n";
  }
};

TEST_F(HttpReceiverAuthTest, WhoHasTheTokenMaySend) {
  start();
  const std::string request = spans_request(3);
  EXPECT_EQ(
      exchange(http_post(request, kProtobufType, authorization("Bearer token-of-the-test"))).status,
      200);
  EXPECT_EQ(stored(), std::vector<std::string>{request});
}

TEST_F(HttpReceiverAuthTest, StrangersGet401InTheirEncoding) {
  start();
  const RawResponse missing = exchange(http_post(spans_request(1)));
  expect_status(missing, 401, kUnauthenticated,
                "missing or empty authorization header: Authorization");
  EXPECT_EQ(missing.header("WWW-Authenticate"), "Bearer");
  const RawResponse wrong =
      exchange(http_post("{}", kJsonType, authorization("Bearer token"), "/v1/nothing"));
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(
      wrong.body,
      R"({"code":16,"message":"provided authorization does not match expected scheme or token"})");
  const RawResponse text = exchange("GET / HTTP/1.1\r\nHost: agent\r\n\r\n");
  EXPECT_EQ(text.status, 401);
  EXPECT_EQ(text.header("Content-Type"), kJsonType);
  EXPECT_EQ(stored(), std::vector<std::string>{});
}

TEST_F(HttpReceiverAuthTest, TheBodyOfAStrangerIsNotWaitedFor) {
  start();
  const std::string request = http_post(std::string(10U << 20, 'x'));
  RawHttpClient one = client();
  one.send(std::string_view(request).substr(0, 200));
  EXPECT_EQ(one.receive().status, 401);
  EXPECT_EQ(budget_->used(), 0U);
  EXPECT_EQ(traces().wire_bytes, 0U);
}

TEST_F(HttpReceiverAuthTest, BrowsersMayAskBeforeTheySend) {
  config_.cors.allowed_origins = {"*"};
  start();
  EXPECT_EQ(exchange("OPTIONS /v1/traces HTTP/1.1\r\nHost: agent\r\nOrigin: http://a.example\r\n"
                     "Access-Control-Request-Method: POST\r\n\r\n")
                .status,
            204);
}

TEST_F(HttpReceiverAuthTest, AUserHasAPassword) {
  config_.auth = AuthenticatorConfig{.kind = AuthenticatorConfig::Kind::basic_server,
                                     .htpasswd_inline = "alice:secret"};
  start();
  EXPECT_EQ(
      exchange(http_post(spans_request(1), kProtobufType, authorization("Basic YWxpY2U6c2VjcmV0")))
          .status,
      200);
  const RawResponse wrong =
      exchange(http_post(spans_request(1), kProtobufType, authorization("Basic YWxpY2U6eA==")));
  expect_status(wrong, 401, kUnauthenticated, "invalid credentials");
  EXPECT_TRUE(wrong.header("WWW-Authenticate")->starts_with("Basic realm="));
}

TEST_F(HttpReceiverAuthTest, AnAuthenticatorThatCannotBeReadStopsTheStart) {
  config_.auth = AuthenticatorConfig{.name = "bearertokenauth", .token_file = "/nowhere/token"};
  const auto started = HttpReceiver::start(config_, {}, stats_, *budget_);
  ASSERT_FALSE(started.ok());
  EXPECT_TRUE(started.error().message.starts_with("authenticator bearertokenauth: "));
}

TEST_F(HttpReceiverAuthTest, ATokenGoesOverTls) {
  const TempDirectory directory;
  TlsAuthority authority(directory, "good");
  const TlsIdentity identity = authority.issue("server");
  config_.tls = {.cert_file = identity.cert_file, .key_file = identity.key_file};
  start();
  TlsClient one(receiver_->port(), {.ca_file = authority.ca_file()});
  EXPECT_TRUE(one.exchange(http_post(spans_request(1), kProtobufType,
                                     authorization("Bearer token-of-the-test")))
                  .starts_with("HTTP/1.1 200 "));
  EXPECT_TRUE(one.exchange(http_post(spans_request(1))).starts_with("HTTP/1.1 401 "));
  EXPECT_EQ(stored().size(), 1U);
}

}  // namespace
}  // namespace holdfast
