// gRPC over TLS and with credentials.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>

#include "tests/support/grpc_receiver_fixture.h"
#include "tests/support/tls_client.h"
#include "tests/support/tls_files.h"
#include "tests/support/wire_bytes.h"

namespace holdfast {
namespace {

using grpc::StatusCode;

class GrpcReceiverTlsTest : public GrpcReceiverFixture {
 protected:
  GrpcReceiverTlsTest() {
    config.tls = {.cert_file = identity_.cert_file,
                  .key_file = identity_.key_file,
                  .reload_interval = std::chrono::seconds(1)};
  }

  GrpcReply call(const std::string& roots, const TlsIdentity* identity = nullptr,
                 const std::string& host = "localhost") {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = roots;
    if (identity != nullptr) {
      options.pem_cert_chain = identity->cert_pem;
      options.pem_private_key = identity->key_pem;
    }
    GrpcClient client(receiver->port(), grpc::SslCredentials(options), host);
    return client.call(method(Signal::traces), reference::with_item(""));
  }
  StatusCode code(const std::string& roots, const TlsIdentity* identity = nullptr,
                  const std::string& host = "localhost") {
    return call(roots, identity, host).status.error_code();
  }
  TlsClient raw(int version_max = 0) {
    return {receiver->port(),
            {.ca_file = authority_.ca_file(),
             .version_max = version_max,
             .ciphers = "ALL:@SECLEVEL=0"}};
  }

  const TempDirectory directory_;
  TlsAuthority authority_{directory_, "good"};
  TlsAuthority stranger_{directory_, "stranger"};
  TlsIdentity identity_ = authority_.issue("server");
};

TEST_F(GrpcReceiverTlsTest, ClientsThatTrustTheAuthorityAreServed) {
  start({Signal::traces});
  EXPECT_EQ(code(authority_.ca_pem()), StatusCode::OK);
  EXPECT_EQ(code(stranger_.ca_pem()), StatusCode::UNAVAILABLE);
  EXPECT_EQ(code(authority_.ca_pem(), nullptr, "elsewhere.example"), StatusCode::UNAVAILABLE);
  GrpcClient plain(receiver->port());
  EXPECT_EQ(plain.call(method(Signal::traces), "").status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(stored(Signal::traces).size(), 1U);
}

TEST_F(GrpcReceiverTlsTest, WithAClientAuthorityOnlyItsClientsGetIn) {
  config.tls->client_ca_file = authority_.ca_file();
  start({Signal::traces});
  const TlsIdentity good = authority_.issue("client");
  const TlsIdentity strange = stranger_.issue("client");
  const TlsIdentity expired = authority_.issue(
      "expired", {.valid_from = std::chrono::hours(-48), .valid_to = std::chrono::hours(-24)});
  EXPECT_EQ(code(authority_.ca_pem(), &good), StatusCode::OK);
  EXPECT_EQ(code(authority_.ca_pem()), StatusCode::UNAVAILABLE);
  EXPECT_EQ(code(authority_.ca_pem(), &strange), StatusCode::UNAVAILABLE);
  EXPECT_EQ(code(authority_.ca_pem(), &expired), StatusCode::UNAVAILABLE);
  EXPECT_EQ(stored(Signal::traces).size(), 1U);
}

TEST_F(GrpcReceiverTlsTest, ThePairMayStandInTheConfiguration) {
  config.tls = {.cert_pem = identity_.cert_pem,
                .key_pem = identity_.key_pem,
                .client_ca_file = authority_.ca_file()};
  start({Signal::traces});
  EXPECT_EQ(code(authority_.ca_pem(), &identity_), StatusCode::OK);
  EXPECT_EQ(code(authority_.ca_pem()), StatusCode::UNAVAILABLE);
}

TEST_F(GrpcReceiverTlsTest, OldVersionsAreRefused) {
  start({Signal::traces});
  EXPECT_FALSE(raw(TLS1_VERSION).connected());
  EXPECT_FALSE(raw(TLS1_1_VERSION).connected());
  EXPECT_TRUE(raw(TLS1_2_VERSION).connected());
  EXPECT_STREQ(raw().version(), "TLSv1.3");
}

TEST_F(GrpcReceiverTlsTest, AReplacedCertificateIsUsedAndNoConnectionIsLost) {
  start({Signal::traces});
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = authority_.ca_pem();
  GrpcClient before(receiver->port(), grpc::SslCredentials(options), "localhost");
  const auto sent = [&] {
    return before.call(method(Signal::traces), reference::with_item("")).status.ok();
  };
  EXPECT_TRUE(sent());
  authority_.issue("server", {.common_name = "renewed"});
  EXPECT_TRUE(becomes_true([&] { return raw().peer() == "renewed"; }));
  EXPECT_TRUE(sent());
}

TEST_F(GrpcReceiverTlsTest, FilesThatCannotBeUsedAreNamed) {
  config.tls->key_file = directory_.path() + "/missing.key";
  auto started = GrpcReceiver::start(config, {}, stats, budget);
  ASSERT_FALSE(started.ok());
  EXPECT_TRUE(started.error().message.starts_with("OTLP/gRPC: tls: " + config.tls->key_file + ": "))
      << started.error().message;
}

TEST_F(GrpcReceiverTlsTest, ClientsWithoutAHandshakeKeepNobodyOut) {
  start({Signal::traces});
  std::vector<RawHttpClient> silent;
  for (int i = 0; i < 200; ++i) silent.emplace_back(receiver->port());
  silent.front().send("POST /v1/traces HTTP/1.1\r\n\r\n");
  EXPECT_EQ(code(authority_.ca_pem()), StatusCode::OK);
}

class GrpcReceiverAuthTest : public GrpcReceiverFixture {
 protected:
  GrpcReply call(const std::string& key, const std::string& value,
                 const std::string& request = reference::with_item("")) {
    GrpcClient client(receiver->port());
    client.add_metadata(key, value);
    return client.call(method(Signal::traces), request);
  }
};

TEST_F(GrpcReceiverAuthTest, StrangersAreRefusedBeforeTheirMessageIsRead) {
  config.auth = AuthenticatorConfig{.tokens = {"token-of-the-test"}};
  start({Signal::traces});
  EXPECT_TRUE(call("authorization", "Bearer token-of-the-test").status.ok());
  const std::string large(3U << 20, 'x');
  const GrpcReply missing = call("other", "x", large);
  EXPECT_EQ(missing.status.error_code(), StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(missing.status.error_message(), "missing or empty authorization header: Authorization");
  const GrpcReply wrong = call("authorization", "Bearer token", large);
  EXPECT_EQ(wrong.status.error_code(), StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(wrong.status.error_message(),
            "provided authorization does not match expected scheme or token");
  EXPECT_LT(stats_of(Signal::traces).wire_bytes, 1000U);
  EXPECT_EQ(stored(Signal::traces).size(), 1U);
}

TEST_F(GrpcReceiverAuthTest, AMethodThatIsNotThereIsSaidToEverybody) {
  config.auth = AuthenticatorConfig{.tokens = {"one"}};
  start({Signal::traces});
  GrpcClient client(receiver->port());
  EXPECT_EQ(client.call(method(Signal::logs), "").status.error_code(), StatusCode::UNIMPLEMENTED);
}

TEST_F(GrpcReceiverAuthTest, AnAuthenticatorThatCannotBeReadStopsTheStart) {
  config.auth = AuthenticatorConfig{.name = "bearertokenauth", .token_file = "/nowhere/token"};
  auto started = GrpcReceiver::start(config, {}, stats, budget);
  ASSERT_FALSE(started.ok());
  EXPECT_TRUE(started.error().message.starts_with("OTLP/gRPC: authenticator bearertokenauth: "))
      << started.error().message;
}

}  // namespace
}  // namespace holdfast
