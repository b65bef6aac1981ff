#include "agent/auth_htpasswd.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "agent/otlp_json_scalar.h"

namespace holdfast {
namespace {

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

class Md5 {
 public:
  Md5() { EVP_DigestInit_ex(context_.get(), EVP_md5(), nullptr); }
  Md5& add(std::string_view bytes) {
    EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
    return *this;
  }
  std::string finish() {
    std::string digest(16, '\0');
    EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr);
    return digest;
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_{EVP_MD_CTX_new()};
};

constexpr std::string_view kApr1 = "$apr1$";

std::string apr1_text(const std::string& digest) {
  static constexpr std::string_view kAlphabet =
      "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  static constexpr std::array<std::array<int, 3>, 5> kGroups{
      {{0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5}}};
  const auto byte = [&](int i) { return static_cast<unsigned char>(digest[i]); };
  std::string text;
  const auto append = [&text](unsigned bits, int characters) {
    for (; characters > 0; --characters, bits >>= 6) text += kAlphabet[bits & 0x3F];
  };
  for (const auto& [high, middle, low] : kGroups) {
    append(unsigned{byte(high)} << 16 | unsigned{byte(middle)} << 8 | byte(low), 4);
  }
  append(byte(11), 2);
  return text;
}

/// MD5-crypt with Apache's mark: htpasswd's own default, which libcrypt does not have.
std::string apr1(std::string_view password, std::string_view salt) {
  const std::string inner = Md5().add(password).add(salt).add(password).finish();
  Md5 start;
  start.add(password).add(kApr1).add(salt);
  for (std::size_t left = password.size(); left > 0; left -= std::min<std::size_t>(left, 16)) {
    start.add(std::string_view(inner).substr(0, std::min<std::size_t>(left, 16)));
  }
  for (std::size_t bits = password.size(); bits != 0; bits >>= 1) {
    start.add((bits & 1) != 0 ? std::string_view("\0", 1) : password.substr(0, 1));
  }
  std::string digest = start.finish();
  for (int round = 0; round < 1000; ++round) {
    Md5 next;
    next.add(round % 2 != 0 ? password : digest);
    if (round % 3 != 0) next.add(salt);
    if (round % 7 != 0) next.add(password);
    digest = next.add(round % 2 != 0 ? std::string_view(digest) : password).finish();
  }
  return apr1_text(digest);
}

bool matches_apr1(std::string_view password, std::string_view hash) {
  const std::string_view rest = hash.substr(kApr1.size());
  const std::size_t end = rest.find('$');
  if (end == std::string_view::npos) return false;
  return same(apr1(password, rest.substr(0, std::min<std::size_t>(end, 8))), rest.substr(end + 1));
}

/// base64 of SHA-1 over password and salt, then the salt itself.
bool matches_sha(const std::string& password, std::string_view coded) {
  constexpr std::size_t kLength = 20;
  const auto stored = from_base64(coded);
  if (!stored || stored->size() < kLength) return false;
  const std::string salted = password + stored->substr(kLength);
  std::string digest(kLength, '\0');
  EVP_Digest(salted.data(), salted.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr,
             EVP_sha1(), nullptr);
  return same(digest, std::string_view(*stored).substr(0, kLength));
}

bool matches_crypt(const std::string& password, const std::string& hash) {
  const auto data = std::make_unique<crypt_data>();
  const char* made = crypt_r(password.c_str(), hash.c_str(), data.get());
  return made != nullptr && made[0] != '*' && same(made, hash);
}

/// A hash that nothing here can judge would refuse everybody, and nobody would know why.
bool is_known_form(const std::string& hash) {
  if (!hash.starts_with("$") || hash.starts_with(kApr1)) return true;
  const int salt = crypt_checksalt(hash.c_str());
  return salt == CRYPT_SALT_OK || salt == CRYPT_SALT_METHOD_LEGACY;
}

}  // namespace

std::optional<std::string> from_base64(std::string_view text) {
  std::string bytes(text.size(), '\0');
  const auto length = decode_base64(text, bytes.data());
  if (!length) return std::nullopt;
  bytes.resize(*length);
  return bytes;
}

bool password_matches(const std::string& password, const std::string& hash) {
  // libcrypt ends a password at its first zero byte.
  if (password.find('\0') != std::string::npos) return false;
  if (hash.starts_with("{SHA}")) return matches_sha(password, std::string_view(hash).substr(5));
  if (hash.starts_with("{SSHA}")) return matches_sha(password, std::string_view(hash).substr(6));
  if (hash.starts_with(kApr1)) return matches_apr1(password, hash);
  if (hash.starts_with("$")) return matches_crypt(password, hash);
  return same(password, hash);
}

Result<Htpasswd> Htpasswd::parse(std::string_view text) {
  Htpasswd table;
  if (RAND_bytes(table.key_.data(), table.key_.size()) != 1) {
    return Error{0, "no random numbers can be had"};
  }
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (!line.empty() && std::strchr(" \t\r", line.back()) != nullptr) line.remove_suffix(1);
    while (!line.empty() && std::strchr(" \t", line.front()) != nullptr) line.remove_prefix(1);
    if (line.empty()) continue;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0 || colon + 1 == line.size()) {
      return Error{0, "line " + std::to_string(number) + " is not user:hash"};
    }
    if (!is_known_form(std::string(line.substr(colon + 1)))) {
      return Error{0, "line " + std::to_string(number) + " has a hash of an unknown form"};
    }
    table.users_[std::string(line.substr(0, colon))] = {std::string(line.substr(colon + 1))};
  }
  if (table.users_.empty()) return Error{0, "it names nobody"};
  return table;
}

Htpasswd::Digest Htpasswd::digest_of(const std::string& password) const {
  Digest digest{};
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
       reinterpret_cast<const unsigned char*>(password.data()), password.size(), digest.data(),
       nullptr);
  return digest;
}

bool Htpasswd::admits(const std::string& user, const std::string& password) {
  const auto found = users_.find(user);
  if (found == users_.end()) return false;
  Entry& entry = found->second;
  const Digest digest = digest_of(password);
  const auto is = [&digest](const Digest& known) {
    return CRYPTO_memcmp(digest.data(), known.data(), digest.size()) == 0;
  };
  if (is(entry.right)) return true;
  if (is(entry.wrong)) return false;
  const bool right = password_matches(password, entry.hash);
  (right ? entry.right : entry.wrong) = digest;
  return right;
}

}  // namespace holdfast
