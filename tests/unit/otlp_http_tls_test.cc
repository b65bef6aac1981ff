// The exporter over TLS against a real server, through proxies, and with credentials that change.
#include <gtest/gtest.h>

#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

#include "agent/http_server.h"
#include "exporters/otlp_http.h"
#include "tests/support/scripted_upstream.h"
#include "tests/support/tls_files.h"

namespace holdfast {
namespace {

using Outcome = SendResult::Outcome;

class OtlpHttpTlsTest : public testing::Test {
 protected:
  OtlpHttpTlsTest() { options_.tls.ca_file = authority_.ca_file(); }

  void start(TlsServerOptions tls = {}) {
    if (tls.cert_file.empty()) {
      tls.cert_file = identity_.cert_file;
      tls.key_file = identity_.key_file;
    }
    HttpServer::Handlers handlers;
    handlers.handle = [this](const HttpRequest& request, const HttpReply& reply) {
      std::lock_guard lock(mutex_);
      hosts_.emplace_back(request.header("Host"));
      authorizations_.emplace_back(request.header("Authorization"));
      reply.send({});
    };
    auto started = HttpServer::start({.endpoint = "127.0.0.1:0", .tls = tls}, std::move(handlers));
    ASSERT_TRUE(started.ok()) << started.error().message;
    server_ = std::move(started).value();
    options_.urls.fill("https://localhost:" + std::to_string(server_->port()) + "/v1/traces");
  }

  SendResult send() {
    const auto exporter = make_otlp_http_exporter(options_, Signal::traces);
    return exporter->send({.coding = exporter->form().coding, .body = "body"}, {});
  }
  Outcome outcome() { return send().outcome; }

  const TempDirectory directory_;
  TlsAuthority authority_{directory_, "good"};
  TlsAuthority stranger_{directory_, "stranger"};
  TlsIdentity identity_ = authority_.issue("server");
  OtlpHttpOptions options_;
  std::mutex mutex_;
  std::vector<std::string> hosts_;
  std::vector<std::string> authorizations_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(OtlpHttpTlsTest, TheServerMustBeOfTheAuthority) {
  start();
  EXPECT_EQ(outcome(), Outcome::delivered);
  options_.tls.ca_file.clear();  // the system's
  EXPECT_EQ(outcome(), Outcome::retry);
  options_.tls.ca_pem = stranger_.ca_pem();
  EXPECT_EQ(outcome(), Outcome::retry);
  options_.tls.ca_pem = authority_.ca_pem();
  EXPECT_EQ(outcome(), Outcome::delivered);
  options_.tls.with_system_cas = true;
  EXPECT_EQ(outcome(), Outcome::delivered);
}

TEST_F(OtlpHttpTlsTest, AnExpiredServerIsNoServer) {
  const TlsIdentity expired = authority_.issue(
      "old", {.valid_from = std::chrono::hours(-48), .valid_to = std::chrono::hours(-24)});
  start({.cert_file = expired.cert_file, .key_file = expired.key_file});
  const SendResult result = send();
  EXPECT_EQ(result.outcome, Outcome::retry);
  EXPECT_NE(result.message.find("expired"), std::string::npos) << result.message;
}

TEST_F(OtlpHttpTlsTest, TheNameOfTheServerIsChecked) {
  const TlsIdentity other = authority_.issue("other", {.names = "DNS:collector.example"});
  start({.cert_file = other.cert_file, .key_file = other.key_file});
  EXPECT_EQ(outcome(), Outcome::retry);
  options_.tls.server_name = "collector.example";
  EXPECT_EQ(outcome(), Outcome::delivered);
  EXPECT_EQ(hosts_.at(0), "localhost:" + std::to_string(server_->port()));
  options_.tls.server_name = "elsewhere.example";
  EXPECT_EQ(outcome(), Outcome::retry);
}

TEST_F(OtlpHttpTlsTest, AServerThatAsksForACertificateGetsOne) {
  start({.client_ca_file = authority_.ca_file()});
  EXPECT_EQ(outcome(), Outcome::retry);
  const TlsIdentity client = authority_.issue("client");
  options_.tls.cert_file = client.cert_file;
  options_.tls.key_file = client.key_file;
  EXPECT_EQ(outcome(), Outcome::delivered);
  options_.tls.cert_file.clear();
  options_.tls.key_file.clear();
  options_.tls.cert_pem = client.cert_pem;
  options_.tls.key_pem = client.key_pem;
  EXPECT_EQ(outcome(), Outcome::delivered);
}

TEST_F(OtlpHttpTlsTest, VersionsAndCiphersAreThoseOfTheConfiguration) {
  start({.only_1_3 = true});
  options_.tls.only_1_2 = true;
  EXPECT_EQ(outcome(), Outcome::retry);
  options_.tls.only_1_2 = false;
  options_.tls.only_1_3 = true;
  EXPECT_EQ(outcome(), Outcome::delivered);
  start({.only_1_2 = true, .ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384", .groups = "P-384"});
  EXPECT_EQ(outcome(), Outcome::retry);
  options_.tls.only_1_3 = false;
  EXPECT_EQ(outcome(), Outcome::delivered);
  options_.tls.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256";
  EXPECT_EQ(outcome(), Outcome::retry);
  options_.tls.ciphers.clear();
  options_.tls.groups = "P-256";
  EXPECT_EQ(outcome(), Outcome::retry);
}

TEST_F(OtlpHttpTlsTest, CredentialsAreAskedForBeforeEachRequest) {
  start();
  std::pair<std::string, std::string> now{"Authorization", "Bearer one"};
  options_.headers = {{"authorization", "Bearer of the configuration"}};
  options_.credentials = [&now] { return now; };
  const auto exporter = make_otlp_http_exporter(options_, Signal::traces);
  const ExportBatch batch{.coding = exporter->form().coding, .body = "body"};
  EXPECT_EQ(exporter->send(batch, {}).outcome, Outcome::delivered);
  now.second = "Bearer two";
  EXPECT_EQ(exporter->send(batch, {}).outcome, Outcome::delivered);
  now = {};
  EXPECT_EQ(exporter->send(batch, {}).outcome, Outcome::delivered);
  EXPECT_EQ(authorizations_,
            (std::vector<std::string>{"Bearer one", "Bearer two", "Bearer of the configuration"}));
}

TEST_F(OtlpHttpTlsTest, AProxyOfTheConfigurationIsForAll) {
  ScriptedUpstream proxy([](const UpstreamRequest&) { return otlp_ok(); });
  ScriptedUpstream other([](const UpstreamRequest&) { return otlp_ok(); });
  ::setenv("NO_PROXY", "*", 1);
  ::setenv("HTTP_PROXY", other.url("").c_str(), 1);
  options_.proxy_url = proxy.url("");
  options_.urls.fill("http://localhost:1/v1/traces");
  EXPECT_EQ(outcome(), Outcome::delivered);
  ::unsetenv("NO_PROXY");
  ::unsetenv("HTTP_PROXY");
  EXPECT_EQ(other.request_count(), 0U);
  ASSERT_EQ(proxy.request_count(), 1U);
  EXPECT_TRUE(proxy.requests()[0].head.starts_with("POST http://localhost:1/v1/traces "));
}

}  // namespace
}  // namespace holdfast
