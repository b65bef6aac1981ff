#include "agent/auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>

#include "agent/auth_htpasswd.h"
#include "agent/config_tree.h"
#include "agent/file_stamp.h"
#include "agent/logging.h"

namespace holdfast {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  return text;
}

/// Empty lines are none: to the Collector they are tokens, and let "Bearer " in.
std::vector<std::string> tokens_in(std::string_view text) {
  std::vector<std::string> tokens;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (const auto token = trimmed(text.substr(0, end)); !token.empty()) tokens.emplace_back(token);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return tokens;
}

Result<std::string> content_of(const std::string& file) {
  auto content = read_config_file(file);
  if (content.ok()) return content;
  return Error{content.error().code, file + " " + content.error().message};
}

Result<std::vector<std::string>> tokens_of(const AuthenticatorConfig& config) {
  if (config.token_file.empty()) return config.tokens;
  const auto content = content_of(config.token_file);
  if (!content.ok()) return content.error();
  auto tokens = tokens_in(*content);
  if (tokens.empty()) return Error{0, config.token_file + ": there is no token in it"};
  return tokens;
}

std::string with_scheme(const std::string& scheme, const std::string& token) {
  return scheme.empty() ? token : scheme + " " + token;
}

/// What both kinds have in common: a file that may be replaced.
class FileAuthenticator : public Authenticator {
 public:
  explicit FileAuthenticator(const AuthenticatorConfig& config, std::string file)
      : config_(config), metadata_key_(lower_case(config.header)), file_(std::move(file)) {}

  const std::string& header() const override { return config_.header; }
  const std::string& metadata_key() const override { return metadata_key_; }

  /// Reads what there is to read. To be called once before the first request.
  Status start() {
    stamp_ = stamp_of(file_);
    return read();
  }

 protected:
  virtual Status read() = 0;

  void read_if_replaced() {
    if (file_.empty()) return;
    const FileStamp found = stamp_of(file_);
    if (found == stamp_) return;
    stamp_ = found;
    if (const Status status = read(); !status) {
      log(LogLevel::warn, "the replaced credentials cannot be used, the old ones stay",
          {{"authenticator", config_.name}, {"error", status.error().message}});
    } else {
      log(LogLevel::info, "credentials replaced",
          {{"authenticator", config_.name}, {"file", file_}});
    }
  }

  const AuthenticatorConfig config_;

 private:
  const std::string metadata_key_;
  const std::string file_;
  FileStamp stamp_;
};

class BearerAuthenticator final : public FileAuthenticator {
 public:
  explicit BearerAuthenticator(const AuthenticatorConfig& config)
      : FileAuthenticator(config, config.token_file) {}

  std::optional<std::string> refuse(std::string_view credentials) override {
    read_if_replaced();
    if (credentials.empty()) return "missing or empty authorization header: " + config_.header;
    bool known = false;
    for (const std::string& one : expected_) {  // all of them, whichever it is
      if (one.size() != credentials.size()) continue;
      known |= CRYPTO_memcmp(one.data(), credentials.data(), one.size()) == 0;
    }
    if (known) return std::nullopt;
    return "provided authorization does not match expected scheme or token";
  }

  std::string challenge() const override {
    return config_.scheme.empty() ? "Bearer" : config_.scheme;
  }

 private:
  Status read() override {
    const auto tokens = tokens_of(config_);
    if (!tokens.ok()) return tokens.error();
    expected_.clear();
    for (const std::string& token : *tokens) {
      expected_.push_back(with_scheme(config_.scheme, token));
    }
    return {};
  }

  std::vector<std::string> expected_;
};

class BasicAuthenticator final : public FileAuthenticator {
 public:
  explicit BasicAuthenticator(const AuthenticatorConfig& config)
      : FileAuthenticator(config, config.htpasswd_file) {}

  std::optional<std::string> refuse(std::string_view credentials) override {
    static constexpr std::string_view kPrefix = "basic ";
    read_if_replaced();
    if (credentials.empty()) return "no basic auth provided";
    if (lower_case(std::string(credentials.substr(0, kPrefix.size()))) != kPrefix) {
      return "invalid authorization scheme prefix";
    }
    const auto pair = from_base64(credentials.substr(kPrefix.size()));
    const std::size_t colon = pair ? pair->find(':') : std::string::npos;
    if (colon == std::string::npos) return "invalid authorization format";
    if (users_->admits(pair->substr(0, colon), pair->substr(colon + 1))) return std::nullopt;
    return "invalid credentials";
  }

  std::string challenge() const override { return "Basic realm=\"holdfast\", charset=\"UTF-8\""; }

 private:
  Status read() override {
    std::string lines;
    if (!config_.htpasswd_file.empty()) {
      auto content = content_of(config_.htpasswd_file);
      if (!content.ok()) return content.error();
      lines = std::move(content).value() + "\n";
    }
    auto parsed = Htpasswd::parse(lines + config_.htpasswd_inline);
    if (!parsed.ok()) {
      const std::string where = config_.htpasswd_file.empty() ? "inline" : config_.htpasswd_file;
      return Error{0, "htpasswd, " + where + ": " + parsed.error().message};
    }
    users_ = std::move(parsed).value();
    return {};
  }

  std::optional<Htpasswd> users_;
};

std::string to_base64(const std::string& text) {
  std::string coded((text.size() + 2) / 3 * 4 + 1, '\0');  // and a zero behind it
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(coded.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  coded.resize(static_cast<std::size_t>(length));
  return coded;
}

Result<std::string> text_or_file(const std::string& text, const std::string& file) {
  if (file.empty()) return text;
  const auto content = content_of(file);
  if (!content.ok()) return content.error();
  return std::string(trimmed(*content));
}

Result<std::string> header_value(const AuthenticatorConfig& config) {
  if (config.kind == AuthenticatorConfig::Kind::bearer) {
    const auto tokens = tokens_of(config);
    if (!tokens.ok()) return tokens.error();
    return with_scheme(config.scheme, tokens->front());
  }
  const auto username = text_or_file(config.username, config.username_file);
  const auto password = text_or_file(config.password, config.password_file);
  if (!username.ok()) return username.error();
  if (!password.ok()) return password.error();
  return "Basic " + to_base64(*username + ":" + *password);
}

}  // namespace

Result<std::unique_ptr<Authenticator>> Authenticator::load(const AuthenticatorConfig& config) {
  std::unique_ptr<FileAuthenticator> made;
  if (config.kind == AuthenticatorConfig::Kind::bearer) {
    made = std::make_unique<BearerAuthenticator>(config);
  } else {
    made = std::make_unique<BasicAuthenticator>(config);
  }
  if (const Status status = made->start(); !status) {
    return Error{status.error().code,
                 "authenticator " + config.name + ": " + status.error().message};
  }
  return std::unique_ptr<Authenticator>(std::move(made));
}

std::function<std::pair<std::string, std::string>()> credentials_of(
    const AuthenticatorConfig& config) {
  return [config]() -> std::pair<std::string, std::string> {
    const auto value = header_value(config);
    if (value.ok()) return {config.header, *value};
    log(LogLevel::warn, "the credentials cannot be read, the request goes without",
        {{"authenticator", config.name}, {"error", value.error().message}});
    return {};
  };
}

}  // namespace holdfast
