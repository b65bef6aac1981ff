// The gRPC exporter and TLS: who is believed, who is shown a certificate, and what a renewed file
// does.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "exporters/otlp_grpc.h"
#include "tests/support/scripted_grpc_upstream.h"
#include "tests/support/scripted_upstream.h"
#include "tests/support/temp_directory.h"

namespace holdfast {
namespace {

using Outcome = SendResult::Outcome;

class OtlpGrpcTls : public ::testing::Test {
 protected:
  /// Client certificates are asked for when `client_ca` is not empty.
  void start(const std::string& client_ca = "") {
    grpc::SslServerCredentialsOptions options(
        client_ca.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                          : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    options.pem_root_certs = client_ca;
    options.pem_key_cert_pairs.push_back({server_.key_pem, server_.certificate_pem});
    upstream_ = std::make_unique<ScriptedGrpcUpstream>(
        [](const GrpcUpstreamRequest&) { return GrpcUpstreamReply{}; },
        GrpcUpstreamOptions{.credentials = grpc::SslServerCredentials(options)});
    options_.target = upstream_->target();
  }

  SendResult send() {
    const auto exporter = make_otlp_grpc_exporter(options_, Signal::traces);
    return exporter->send({.coding = exporter->form().coding, .body = "body"}, {});
  }

  void expect_delivered() {
    const SendResult result = send();
    EXPECT_EQ(result.outcome, Outcome::delivered) << result.message;
  }

  /// Nothing but a retry, and nothing of the body gets out.
  void expect_refused(const std::string& because) {
    const std::size_t before = upstream_->requests().size();
    const SendResult result = send();
    EXPECT_EQ(result.outcome, Outcome::retry);
    EXPECT_TRUE(result.upstream_down);
    EXPECT_FALSE(result.unanswered);
    EXPECT_NE(result.message.find(because), std::string::npos) << result.message;
    EXPECT_EQ(upstream_->requests().size(), before);
  }

  std::string file(const std::string& name, const std::string& content) {
    const std::string path = directory_.path() + "/" + name;
    std::ofstream(path) << content;
    return path;
  }

  const TempDirectory directory_;
  const UpstreamTls server_ = make_tls();  // self-signed, for 127.0.0.1
  OtlpGrpcOptions options_;
  std::unique_ptr<ScriptedGrpcUpstream> upstream_;
};

TEST_F(OtlpGrpcTls, CertificateMustBeTrusted) {
  start();
  expect_refused("certificate");
  options_.tls.ca_pem = make_tls().certificate_pem;  // another one
  expect_refused("certificate");
  options_.tls.ca_pem = server_.certificate_pem;
  expect_delivered();
  options_.tls.ca_pem.clear();
  options_.tls.ca_file = file("ca.pem", server_.certificate_pem);
  expect_delivered();
  options_.tls.with_system_roots = true;
  expect_delivered();
}

TEST_F(OtlpGrpcTls, SkippingVerificationTakesAnyCertificate) {
  start();
  options_.tls.insecure_skip_verify = true;
  expect_delivered();
  options_.tls.ca_pem = make_tls().certificate_pem;
  expect_delivered();
  options_.tls.server_name = "elsewhere.example";
  expect_delivered();
}

TEST_F(OtlpGrpcTls, CertificateMustBeForTheHost) {
  start();
  options_.tls.ca_pem = server_.certificate_pem;
  options_.target = "dns:///localhost:" + std::to_string(upstream_->port());
  expect_refused("");
  options_.tls.server_name = "127.0.0.1";
  expect_delivered();
  options_.target = upstream_->target();
  options_.tls.server_name = "elsewhere.example";
  expect_refused("");
}

TEST_F(OtlpGrpcTls, PlainUpstreamAndTlsDoNotMeet) {
  start();
  options_.tls.enabled = false;
  EXPECT_EQ(send().outcome, Outcome::retry);
  ScriptedGrpcUpstream plain([](const GrpcUpstreamRequest&) { return GrpcUpstreamReply{}; });
  options_.tls.enabled = true;
  options_.target = plain.target();
  EXPECT_EQ(send().outcome, Outcome::retry);
  EXPECT_EQ(plain.requests().size(), 0U);
}

TEST_F(OtlpGrpcTls, ClientCertificateIsShown) {
  const UpstreamTls client = make_tls();
  start(client.certificate_pem);
  options_.tls.ca_pem = server_.certificate_pem;
  EXPECT_EQ(send().outcome, Outcome::retry);
  EXPECT_EQ(upstream_->requests().size(), 0U);
  options_.tls.cert_pem = client.certificate_pem;
  options_.tls.key_pem = client.key_pem;
  expect_delivered();
  const UpstreamTls stranger = make_tls();
  options_.tls.cert_pem = stranger.certificate_pem;
  options_.tls.key_pem = stranger.key_pem;
  EXPECT_EQ(send().outcome, Outcome::retry);
  options_.tls.cert_pem.clear();
  options_.tls.key_pem.clear();
  options_.tls.cert_file = file("cert.pem", client.certificate_pem);
  options_.tls.key_file = file("key.pem", client.key_pem);
  expect_delivered();
}

TEST_F(OtlpGrpcTls, FilesAreReadAnewForEachConnection) {
  start();
  options_.tls.ca_file = directory_.path() + "/ca.pem";
  const auto exporter = make_otlp_grpc_exporter(options_, Signal::traces);
  const auto once_more = [&] {
    return exporter->send({.coding = exporter->form().coding, .body = "body"}, {});
  };
  const SendResult missing = once_more();
  EXPECT_EQ(missing.outcome, Outcome::retry);
  EXPECT_NE(missing.message.find("ca.pem: No such file"), std::string::npos) << missing.message;
  file("ca.pem", make_tls().certificate_pem);
  EXPECT_EQ(once_more().outcome, Outcome::retry);
  file("ca.pem", "this is no certificate");
  EXPECT_EQ(once_more().outcome, Outcome::retry);
  file("ca.pem", server_.certificate_pem);
  EXPECT_EQ(once_more().outcome, Outcome::delivered);
}

}  // namespace
}  // namespace holdfast
