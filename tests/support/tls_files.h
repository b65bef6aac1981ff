// Certificates for tests, made when they are needed: authorities, and what they sign.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <memory>
#include <string>

#include "tests/support/temp_directory.h"

namespace holdfast {

/// A certificate and its key, as PEM and as files.
struct TlsIdentity {
  std::string cert_file;
  std::string key_file;
  std::string cert_pem;
  std::string key_pem;
};

/// What is to be written of a certificate.
struct TlsSubject {
  std::string common_name = "agent";
  std::string names = "DNS:localhost,IP:127.0.0.1";  // as OpenSSL writes subjectAltName
  std::chrono::hours valid_from{-1};                 // from now
  std::chrono::hours valid_to{24};
};

class TlsAuthority {
 public:
  /// Files are put into `directory`; all names in it start with `name`.
  TlsAuthority(const TempDirectory& directory, std::string name)
      : prefix_(directory.path() + "/" + name + "-"), name_(std::move(name)) {
    std::signal(SIGPIPE, SIG_IGN);  // as the agent does: OpenSSL writes to sockets without a flag
    key_.reset(EVP_EC_gen("P-256"));
    certificate_ = make(*key_, {.common_name = name_, .names = "", .valid_to = kLong}, true);
    write(ca_file(), pem_of(*certificate_));
  }

  std::string ca_file() const { return prefix_ + "ca.pem"; }
  std::string ca_pem() const { return pem_of(*certificate_); }

  /// Signs a new pair and writes it to files called after `file`; those that are there are
  /// replaced as one is told to do it: written beside and moved.
  TlsIdentity issue(const std::string& file, const TlsSubject& subject = {}) {
    const Key key(EVP_EC_gen("P-256"));
    const Certificate certificate = make(*key, subject, false);
    TlsIdentity identity{prefix_ + file + ".crt", prefix_ + file + ".key", pem_of(*certificate),
                         pem_of(*key)};
    write(identity.key_file, identity.key_pem);
    write(identity.cert_file, identity.cert_pem);
    return identity;
  }

  static void write(const std::string& path, const std::string& content) {
    std::ofstream(path + ".new", std::ios::binary) << content;
    std::filesystem::rename(path + ".new", path);
  }

 private:
  template <auto Function>
  struct Free {
    template <typename T>
    void operator()(T* object) const {
      Function(object);
    }
  };
  using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
  using Certificate = std::unique_ptr<X509, Free<X509_free>>;
  using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;
  static constexpr std::chrono::hours kLong{24 * 365};

  static std::string text_of(BIO& bio) {
    char* data = nullptr;
    const long length = BIO_get_mem_data(&bio, &data);
    return {data, static_cast<std::size_t>(length)};
  }
  static std::string pem_of(X509& certificate) {
    const Bio bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), &certificate);
    return text_of(*bio);
  }
  static std::string pem_of(EVP_PKEY& key) {
    const Bio bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(bio.get(), &key, nullptr, nullptr, 0, nullptr, nullptr);
    return text_of(*bio);
  }

  static void extend(X509& certificate, int nid, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
    X509_add_ext(&certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }

  Certificate make(EVP_PKEY& key, const TlsSubject& subject, bool authority) {
    Certificate made(X509_new());
    X509_set_version(made.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(made.get()),
                    std::chrono::seconds(subject.valid_from).count());
    X509_gmtime_adj(X509_getm_notAfter(made.get()), std::chrono::seconds(subject.valid_to).count());
    X509_set_pubkey(made.get(), &key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(subject.common_name.c_str()),
                               -1, -1, 0);
    X509_set_issuer_name(made.get(),
                         X509_get_subject_name(authority ? made.get() : certificate_.get()));
    extend(*made, NID_basic_constraints, authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (!subject.names.empty()) extend(*made, NID_subject_alt_name, subject.names);
    X509_sign(made.get(), key_.get(), EVP_sha256());
    return made;
  }

  const std::string prefix_;
  const std::string name_;
  Key key_;
  Certificate certificate_;
  long serial_ = 0;
};

}  // namespace holdfast
