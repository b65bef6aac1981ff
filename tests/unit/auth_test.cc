// Passwords, tokens, and files of them that are replaced.
#include "agent/auth.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "agent/auth_htpasswd.h"
#include "tests/support/temp_directory.h"

namespace holdfast {
namespace {

using Kind = AuthenticatorConfig::Kind;

class AuthTest : public testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& content) const {
    const std::string path = directory_.path() + "/" + name;
    std::ofstream(path + ".new") << content;
    std::filesystem::rename(path + ".new", path);
    return path;
  }

  static std::unique_ptr<Authenticator> load(const AuthenticatorConfig& config) {
    auto loaded = Authenticator::load(config);
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    return loaded.ok() ? std::move(loaded).value() : nullptr;
  }

  static std::string error_of(const AuthenticatorConfig& config) {
    const auto loaded = Authenticator::load(config);
    return loaded.ok() ? "" : loaded.error().message;
  }

  static std::string basic(const std::string& user, const std::string& password) {
    return credentials_of({.kind = Kind::basic_client, .username = user, .password = password})()
        .second;
  }

  const TempDirectory directory_;
};

// Made with openssl passwd, and crypt(3) for bcrypt.
constexpr std::string_view kHashes[] = {
    "$apr1$r31.....$WQf9cPy9WjNvz9ZYeT9jk.",
    "$1$saltsalt$NuzA7WTAelpl95xgBGWN60",
    "$5$saltsalt$myjXcpMpE2Ofk7fj9hqyNYSn6lmWG4Mqnjx.KIRRr4/",
    "$6$saltsalt$hRM5XZ86KXEw9UOmjigeVqFgULtFB2sgpC9lXQDfMib3Zgw7mEiUvBJI2EplzfAqxL5Vvwp2scFtv/"
    "uamSo5z0",
    "$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2",
    "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=",
    "{SSHA}LhKrkM9Fy+zlstjdD7Kv2s6QvhBzYWx0",
    "correct horse",
};

TEST_F(AuthTest, EveryFormOfAHashIsJudged) {
  for (const std::string_view hash : kHashes) {
    EXPECT_TRUE(password_matches("correct horse", std::string(hash))) << hash;
    EXPECT_FALSE(password_matches("correct hors", std::string(hash))) << hash;
    EXPECT_FALSE(password_matches("correct horse ", std::string(hash))) << hash;
    EXPECT_FALSE(password_matches("", std::string(hash))) << hash;
    EXPECT_FALSE(password_matches(std::string("correct horse\0x", 15), std::string(hash))) << hash;
    EXPECT_TRUE(Htpasswd::parse("user:" + std::string(hash)).ok()) << hash;
  }
  EXPECT_TRUE(password_matches("", "$apr1$salt$AnXM5PAEa9T4ruYbwPoUh/"));
  EXPECT_TRUE(password_matches("a password of more than sixteen bytes",
                               "$apr1$saltsalt$kCNsCiO/FRTholLpVNvPi1"));
}

TEST_F(AuthTest, DamagedHashesLetNobodyIn) {
  for (const char* hash : {"{SHA}", "{SHA}!!", "{SSHA}QQ==", "$apr1$", "$apr1$salt", "$apr1$s$",
                           "$2y$05$short", "$9$x$y", "$"}) {
    EXPECT_FALSE(password_matches("", hash)) << hash;
    EXPECT_FALSE(password_matches("x", hash)) << hash;
  }
}

TEST_F(AuthTest, LinesOfHtpasswd) {
  auto table = Htpasswd::parse("\n  alice:one  \r\n\nbob:two:with:colons\nalice:three");
  ASSERT_TRUE(table.ok()) << table.error().message;
  EXPECT_TRUE(table->admits("alice", "three"));
  EXPECT_FALSE(table->admits("alice", "one"));
  EXPECT_TRUE(table->admits("bob", "two:with:colons"));
  EXPECT_FALSE(table->admits("carol", ""));
  EXPECT_FALSE(table->admits("", ""));
}

TEST_F(AuthTest, WhatHasBeenJudgedIsJudgedAlike) {
  auto table = Htpasswd::parse("alice:" + std::string(kHashes[4]));
  ASSERT_TRUE(table.ok());
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(table->admits("alice", "correct horse"));
    EXPECT_FALSE(table->admits("alice", "wrong"));
    EXPECT_FALSE(table->admits("alice", "also wrong"));
  }
}

TEST_F(AuthTest, WrongLinesAreNamedByTheirNumberAlone) {
  for (const auto& [text, error] : std::vector<std::pair<std::string, std::string>>{
           {"alice:secret\nsecret\n", "line 2 is not user:hash"},
           {":secret", "line 1 is not user:hash"},
           {"secret:", "line 1 is not user:hash"},
           {"alice:$9$secret$secret", "line 1 has a hash of an unknown form"},
           {" \n", "it names nobody"}}) {
    const auto table = Htpasswd::parse(text);
    ASSERT_FALSE(table.ok()) << text;
    EXPECT_EQ(table.error().message, error);
  }
}

TEST_F(AuthTest, BasicCredentialsAreToldApart) {
  auto basic_auth = load({.kind = Kind::basic_server, .htpasswd_inline = "alice:secret\nbob:b"});
  EXPECT_EQ(basic_auth->refuse(basic("alice", "secret")), std::nullopt);
  EXPECT_EQ(basic_auth->refuse("bAsIc YWxpY2U6c2VjcmV0"), std::nullopt);
  EXPECT_EQ(basic_auth->refuse(""), "no basic auth provided");
  EXPECT_EQ(basic_auth->refuse("Bearer secret"), "invalid authorization scheme prefix");
  EXPECT_EQ(basic_auth->refuse("Basic"), "invalid authorization scheme prefix");
  EXPECT_EQ(basic_auth->refuse("Basic %%%"), "invalid authorization format");
  EXPECT_EQ(basic_auth->refuse("Basic YWxpY2U="), "invalid authorization format");
  EXPECT_EQ(basic_auth->refuse(basic("alice", "b")), "invalid credentials");
  EXPECT_EQ(basic_auth->refuse(basic("carol", "secret")), "invalid credentials");
  EXPECT_TRUE(basic_auth->challenge().starts_with("Basic realm="));
}

TEST_F(AuthTest, LinesInTheConfigurationWinOverTheFile) {
  const std::string path = file("htpasswd", "alice:old\nbob:b\n");
  auto basic_auth =
      load({.kind = Kind::basic_server, .htpasswd_file = path, .htpasswd_inline = "alice:new"});
  EXPECT_EQ(basic_auth->refuse(basic("alice", "new")), std::nullopt);
  EXPECT_EQ(basic_auth->refuse(basic("alice", "old")), "invalid credentials");
  EXPECT_EQ(basic_auth->refuse(basic("bob", "b")), std::nullopt);
}

TEST_F(AuthTest, AReplacedHtpasswdHoldsAtOnce) {
  const std::string path = file("htpasswd", "alice:old");
  auto basic_auth = load({.kind = Kind::basic_server, .htpasswd_file = path});
  EXPECT_EQ(basic_auth->refuse(basic("alice", "old")), std::nullopt);
  file("htpasswd", "alice:new");
  EXPECT_EQ(basic_auth->refuse(basic("alice", "old")), "invalid credentials");
  EXPECT_EQ(basic_auth->refuse(basic("alice", "new")), std::nullopt);
  file("htpasswd", "nonsense");
  EXPECT_EQ(basic_auth->refuse(basic("alice", "new")), std::nullopt);
  std::filesystem::remove(path);
  EXPECT_EQ(basic_auth->refuse(basic("alice", "new")), std::nullopt);
}

TEST_F(AuthTest, AnyOfTheTokensIsTaken) {
  auto bearer = load({.tokens = {"one", "twotwo"}});
  EXPECT_EQ(bearer->refuse("Bearer one"), std::nullopt);
  EXPECT_EQ(bearer->refuse("Bearer twotwo"), std::nullopt);
  EXPECT_EQ(bearer->refuse(""), "missing or empty authorization header: Authorization");
  for (const char* wrong : {"Bearer ", "Bearer on", "Bearer onee", "bearer one", "one",
                            "Bearer one, Bearer twotwo", "Token one"}) {
    EXPECT_EQ(bearer->refuse(wrong),
              "provided authorization does not match expected scheme or token")
        << wrong;
  }
  EXPECT_EQ(bearer->challenge(), "Bearer");
  EXPECT_EQ(bearer->metadata_key(), "authorization");
}

TEST_F(AuthTest, HeaderAndSchemeAreThoseOfTheConfiguration) {
  const AuthenticatorConfig config{.header = "X-Api-Key", .scheme = "", .tokens = {"one"}};
  auto bearer = load(config);
  EXPECT_EQ(bearer->header(), "X-Api-Key");
  EXPECT_EQ(bearer->metadata_key(), "x-api-key");
  EXPECT_EQ(bearer->refuse("one"), std::nullopt);
  EXPECT_EQ(bearer->challenge(), "Bearer");
  EXPECT_EQ(credentials_of(config)(), (std::pair<std::string, std::string>("X-Api-Key", "one")));
}

TEST_F(AuthTest, TokensOfAFileAreReplacedAndEmptyLinesAreNone) {
  const std::string path = file("token", " one \n\n\n");
  auto bearer = load({.tokens = {"ignored"}, .token_file = path});
  EXPECT_EQ(bearer->refuse("Bearer one"), std::nullopt);
  EXPECT_NE(bearer->refuse("Bearer "), std::nullopt);
  EXPECT_NE(bearer->refuse("Bearer ignored"), std::nullopt);
  file("token", "two\nthree\n");
  EXPECT_NE(bearer->refuse("Bearer one"), std::nullopt);
  EXPECT_EQ(bearer->refuse("Bearer two"), std::nullopt);
  EXPECT_EQ(bearer->refuse("Bearer three"), std::nullopt);
  file("token", "\n");
  EXPECT_EQ(bearer->refuse("Bearer two"), std::nullopt);
}

TEST_F(AuthTest, FilesThatCannotBeUsedAreNamed) {
  const std::string missing = directory_.path() + "/missing";
  EXPECT_TRUE(error_of({.name = "bearertokenauth", .token_file = missing})
                  .starts_with("authenticator bearertokenauth: "));
  EXPECT_NE(error_of({.token_file = missing}).find(missing), std::string::npos);
  const std::string empty = file("empty", "\n");
  EXPECT_NE(error_of({.token_file = empty}).find("there is no token in it"), std::string::npos);
  EXPECT_NE(error_of({.kind = Kind::basic_server, .htpasswd_file = empty})
                .find("htpasswd, " + empty + ": it names nobody"),
            std::string::npos);
}

TEST_F(AuthTest, AnExporterSendsWhatTheFilesSayNow) {
  const std::string user = file("user", "alice\n");
  const std::string password = file("password", "secret\n");
  const auto credentials = credentials_of({.kind = Kind::basic_client,
                                           .username = "ignored",
                                           .username_file = user,
                                           .password_file = password});
  EXPECT_EQ(credentials().second, "Basic YWxpY2U6c2VjcmV0");
  file("password", "new");
  EXPECT_EQ(credentials().second, basic("alice", "new"));
  std::filesystem::remove(password);
  EXPECT_EQ(credentials(), (std::pair<std::string, std::string>()));
  const auto token = credentials_of({.token_file = file("token", "one\ntwo\n")});
  EXPECT_EQ(token(), (std::pair<std::string, std::string>("Authorization", "Bearer one")));
  file("token", "three");
  EXPECT_EQ(token().second, "Bearer three");
}

}  // namespace
}  // namespace holdfast
