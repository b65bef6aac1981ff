// HTTPS: who gets in, with which versions, certificates that are replaced, and hostile clients.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/support/http_server_fixture.h"
#include "tests/support/tls_client.h"
#include "tests/support/tls_files.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

class HttpServerTlsTest : public HttpServerTest {
 protected:
  HttpServerTlsTest() {
    tls_.cert_file = server_identity_.cert_file;
    tls_.key_file = server_identity_.key_file;
  }

  void start_tls(HttpServerOptions options = {}) {
    options.tls = tls_;
    start(std::move(options));
  }

  TlsClient tls_client(TlsClientOptions options = {}) {
    if (options.ca_file.empty()) options.ca_file = authority_.ca_file();
    return {server_->port(), options};
  }

  std::string peer() { return tls_client().peer(); }

  const TempDirectory directory_;
  TlsAuthority authority_{directory_, "good"};
  TlsAuthority stranger_{directory_, "stranger"};
  TlsIdentity server_identity_ = authority_.issue("server");
  TlsServerOptions tls_;
};

TEST_F(HttpServerTlsTest, ManyRequestsGoOverOneConnection) {
  start_tls();
  TlsClient one = tls_client();
  ASSERT_TRUE(one.connected());
  EXPECT_STREQ(one.version(), "TLSv1.3");
  for (const std::size_t size : {0U, 1U, 16'384U, 300'000U, 5'000'000U}) {
    const std::string body(size, 'b');
    EXPECT_TRUE(one.exchange(post(body)).ends_with("POST /echo " + body)) << size;
  }
  EXPECT_TRUE(one.exchange(kChunkedHead + chunk("in ") + chunk("chunks") + "0\r\n\r\n")
                  .ends_with("POST /echo in chunks"));
  EXPECT_TRUE(one.exchange(post("x", "", "/large")).size() > 50U << 20);
}

TEST_F(HttpServerTlsTest, RequestsInOneRecordAreAllAnswered) {
  start_tls();
  TlsClient one = tls_client();
  ASSERT_TRUE(one.send(post("first") + post("second") + post("third")));
  std::string answers;
  while (answers.find("third") == std::string::npos) {
    const std::string more = one.receive();
    ASSERT_FALSE(more.empty());
    answers += more;
  }
  EXPECT_LT(answers.find("first"), answers.find("second"));
}

TEST_F(HttpServerTlsTest, ARequestBehindABodyInItsRecordIsSeen) {
  start_tls();
  TlsClient one = tls_client();
  const std::string first = post("first");
  const std::size_t head = first.size() - 5;
  ASSERT_TRUE(one.exchange(post("warm")).ends_with("warm"));
  ASSERT_TRUE(one.send(first.substr(0, head)));
  std::promise<void> seen;  // the head alone has been read
  server_->post([&] { seen.set_value(); });
  seen.get_future().wait();
  ASSERT_TRUE(one.send("first" + post("second")));
  EXPECT_TRUE(one.receive().ends_with("POST /echo first"));
  EXPECT_TRUE(one.receive().ends_with("POST /echo second"));
}

TEST_F(HttpServerTlsTest, ABodyIsAskedForWhenTheClientWaits) {
  start_tls();
  TlsClient one = tls_client();
  const std::string request = post("telemetry", "Expect: 100-continue\r\n");
  one.send(request.substr(0, request.size() - 9));
  char interim[64];
  const int length = SSL_read(one.ssl(), interim, sizeof interim);
  EXPECT_EQ(std::string(interim, static_cast<std::size_t>(length)),
            "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_TRUE(one.exchange("telemetry").ends_with("POST /echo telemetry"));
}

TEST_F(HttpServerTlsTest, ThePairMayStandInTheConfiguration) {
  tls_ = {.cert_pem = server_identity_.cert_pem, .key_pem = server_identity_.key_pem};
  start_tls();
  EXPECT_EQ(peer(), "agent");
}

TEST_F(HttpServerTlsTest, ClientsSeeThroughAWrongServer) {
  start_tls();
  EXPECT_TRUE(tls_client().connected());
  EXPECT_FALSE(tls_client({.ca_file = stranger_.ca_file()}).connected());
  EXPECT_FALSE(tls_client({.host = "elsewhere.example"}).connected());
  const TlsIdentity expired = authority_.issue(
      "old", {.valid_from = std::chrono::hours(-48), .valid_to = std::chrono::hours(-24)});
  tls_.cert_file = expired.cert_file;
  tls_.key_file = expired.key_file;
  start_tls();
  EXPECT_FALSE(tls_client().connected());
}

TEST_F(HttpServerTlsTest, WithAClientAuthorityOnlyItsClientsGetIn) {
  tls_.client_ca_file = authority_.ca_file();
  start_tls();
  const TlsIdentity good = authority_.issue("client");
  const TlsIdentity strange = stranger_.issue("client");
  const TlsIdentity expired = authority_.issue(
      "expired", {.valid_from = std::chrono::hours(-48), .valid_to = std::chrono::hours(-24)});
  EXPECT_TRUE(tls_client({.identity = &good}).exchange(post("x")).ends_with("POST /echo x"));
  // With TLS 1.3 the client learns of it after its handshake.
  EXPECT_EQ(tls_client().exchange(post("x")), "");
  EXPECT_EQ(tls_client({.identity = &strange}).exchange(post("x")), "");
  EXPECT_EQ(tls_client({.identity = &expired}).exchange(post("x")), "");
  EXPECT_FALSE(tls_client({.version_max = TLS1_2_VERSION}).connected());
  EXPECT_EQ(handled_, 1);
}

TEST_F(HttpServerTlsTest, OldVersionsAreRefused) {
  start_tls();
  const std::string old_ciphers = "ALL:@SECLEVEL=0";
  EXPECT_FALSE(tls_client({.version_max = TLS1_VERSION, .ciphers = old_ciphers}).connected());
  EXPECT_FALSE(tls_client({.version_max = TLS1_1_VERSION, .ciphers = old_ciphers}).connected());
  EXPECT_STREQ(tls_client({.version_max = TLS1_2_VERSION}).version(), "TLSv1.2");
}

TEST_F(HttpServerTlsTest, VersionsAndCiphersAreThoseOfTheConfiguration) {
  tls_.only_1_3 = true;
  start_tls();
  EXPECT_FALSE(tls_client({.version_max = TLS1_2_VERSION}).connected());
  EXPECT_TRUE(tls_client().connected());
  tls_.only_1_3 = false;
  tls_.only_1_2 = true;
  tls_.ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384";
  tls_.groups = "P-384";
  start_tls();
  TlsClient one = tls_client();
  EXPECT_STREQ(one.version(), "TLSv1.2");
  EXPECT_STREQ(one.cipher(), "ECDHE-ECDSA-AES256-GCM-SHA384");
  EXPECT_FALSE(tls_client({.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"}).connected());
}

TEST_F(HttpServerTlsTest, AReplacedCertificateIsUsedAndNoConnectionIsLost) {
  start_tls();
  TlsClient before = tls_client();
  EXPECT_EQ(before.peer(), "agent");
  authority_.issue("server", {.common_name = "renewed"});
  TlsClient after = tls_client();
  EXPECT_EQ(after.peer(), "renewed");
  EXPECT_TRUE(before.exchange(post("still")).ends_with("POST /echo still"));
  EXPECT_TRUE(after.exchange(post("new")).ends_with("POST /echo new"));
}

TEST_F(HttpServerTlsTest, HalfAPairChangesNothingUntilTheOtherHalfIsThere) {
  start_tls();
  const TlsIdentity other = authority_.issue("other", {.common_name = "renewed"});
  TlsAuthority::write(server_identity_.key_file, other.key_pem);
  EXPECT_EQ(peer(), "agent");
  TlsAuthority::write(server_identity_.cert_file, other.cert_pem);
  EXPECT_EQ(peer(), "renewed");
  std::filesystem::remove(server_identity_.cert_file);
  EXPECT_EQ(peer(), "renewed");
  TlsAuthority::write(server_identity_.cert_file, "no certificate");
  EXPECT_EQ(peer(), "renewed");
}

TEST_F(HttpServerTlsTest, FilesAreLookedAtOnceAnInterval) {
  tls_.reload_interval = std::chrono::hours(1);
  start_tls();
  EXPECT_EQ(peer(), "agent");
  authority_.issue("server", {.common_name = "renewed"});
  EXPECT_EQ(peer(), "agent");
}

TEST_F(HttpServerTlsTest, AReplacedClientAuthorityHolds) {
  tls_.client_ca_file = directory_.path() + "/clients.pem";
  TlsAuthority::write(tls_.client_ca_file, authority_.ca_pem());
  start_tls();
  const TlsIdentity strange = stranger_.issue("client");
  EXPECT_EQ(tls_client({.identity = &strange}).exchange(post("x")), "");
  TlsAuthority::write(tls_.client_ca_file, stranger_.ca_pem());
  EXPECT_NE(tls_client({.identity = &strange}).exchange(post("x")), "");
}

TEST_F(HttpServerTlsTest, FilesThatCannotBeUsedAreNamed) {
  const std::string missing = directory_.path() + "/missing.pem";
  const std::string text = directory_.path() + "/text.pem";
  TlsAuthority::write(text, "text");
  const auto expect = [&](const TlsServerOptions& options, const std::string& error) {
    const auto started = HttpServer::start({.endpoint = "127.0.0.1:0", .tls = options}, {});
    ASSERT_FALSE(started.ok()) << error;
    EXPECT_TRUE(started.error().message.starts_with(error)) << started.error().message;
  };
  const std::string key = server_identity_.key_file;
  const std::string cert = server_identity_.cert_file;
  expect({.cert_file = missing, .key_file = key}, "tls: " + missing + ": No such file");
  expect({.cert_file = text, .key_file = key}, "tls: " + text + ": no certificate: ");
  expect({.cert_file = cert, .key_file = text}, "tls: " + text + ": no private key: ");
  expect({.cert_file = cert, .key_file = authority_.issue("other").key_file},
         "tls: " + directory_.path() + "/good-other.key does not belong to " + cert);
  expect({.cert_file = cert, .key_file = key, .client_ca_file = text},
         "tls: " + text + ": no certificates: ");
}

TEST_F(HttpServerTlsTest, PlainHttpIsToldSo) {
  start_tls();
  RawHttpClient plain = client();
  plain.send(post("x"));
  plain.finish_sending();
  const std::string answer = plain.receive_all();
  EXPECT_EQ(answer,
            "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n");
  EXPECT_EQ(handled_, 0);
  EXPECT_TRUE(tls_client().connected());
}

TEST_F(HttpServerTlsTest, AHandshakeHasTheTimeOfAHeader) {
  start_tls({.header_timeout = milliseconds(100)});
  RawHttpClient silent = client();
  RawHttpClient slow = client();
  slow.send("\x16\x03\x01\x02");  // the start of a ClientHello
  EXPECT_TRUE(silent.ended_by_server());
  EXPECT_TRUE(slow.ended_by_server());
  EXPECT_TRUE(becomes_true([&] { return server_->connections() == 0; }));
}

TEST_F(HttpServerTlsTest, ConnectionsWithoutAHandshakeHaveALimitAndAnEnd) {
  start_tls({.connections_max = 100, .header_timeout = milliseconds(500)});
  std::vector<RawHttpClient> silent;
  for (int i = 0; i < 1000; ++i) silent.push_back(client());
  for (RawHttpClient& one : silent) EXPECT_TRUE(one.ended_by_server());
  EXPECT_TRUE(becomes_true([&] { return server_->connections() == 0; }));
  EXPECT_TRUE(tls_client().exchange(post("x")).ends_with("POST /echo x"));
}

TEST_F(HttpServerTlsTest, NoiseEndsItsConnectionAlone) {
  start_tls();
  TlsClient good = tls_client();
  for (int i = 0; i < 200; ++i) {
    RawHttpClient noisy = client();
    std::string noise(static_cast<std::size_t>(1 + i * 7), '\0');
    for (char& byte : noise) byte = static_cast<char>(rand() % 256);
    noisy.send(i % 2 == 0 ? noise : "\x16\x03\x01" + noise);
    noisy.finish_sending();
    EXPECT_TRUE(noisy.ends()) << i;
  }
  EXPECT_TRUE(good.exchange(post("x")).ends_with("POST /echo x"));
}

TEST_F(HttpServerTlsTest, RenegotiationIsRefused) {
  start_tls();
  TlsClient one = tls_client({.version_max = TLS1_2_VERSION});
  ASSERT_TRUE(one.exchange(post("x")).ends_with("POST /echo x"));
  SSL_renegotiate(one.ssl());
  EXPECT_NE(SSL_do_handshake(one.ssl()), 1);
}

TEST_F(HttpServerTlsTest, ClientsMayVanishAtAnyMoment) {
  start_tls();
  for (int i = 0; i < 20; ++i) {
    TlsClient one = tls_client();
    one.send(post(std::string(200, 'x')).substr(0, static_cast<std::size_t>(i) * 10));
    one.socket().reset();
  }
  EXPECT_TRUE(becomes_true([&] { return server_->connections() == 0; }));
}

TEST_F(HttpServerTlsTest, StopAnswersWhatIsUnderWay) {
  start_tls();
  TlsClient held = tls_client();
  held.send(post("", "", "/hold"));
  wait_for_held(1);
  std::thread stopping([&] { server_->stop(std::chrono::seconds(5)); });
  EXPECT_TRUE(becomes_true([&] { return !client().connected(); }));
  release();
  EXPECT_TRUE(held.receive().ends_with("held"));
  char byte = 0;
  EXPECT_EQ(SSL_read(held.ssl(), &byte, 1), 0);
  EXPECT_EQ(SSL_get_shutdown(held.ssl()), SSL_RECEIVED_SHUTDOWN);  // said, not torn
  stopping.join();
}

TEST_F(HttpServerTlsTest, StopDoesNotWaitForHandshakes) {
  start_tls();
  RawHttpClient silent = client();
  EXPECT_TRUE(becomes_true([&] { return server_->connections() == 1; }));
  const auto begin = std::chrono::steady_clock::now();
  server_->stop(std::chrono::seconds(60));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
  EXPECT_TRUE(silent.ended_by_server());
}

}  // namespace
}  // namespace holdfast
