#include "exporters/otlp_http.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <string_view>

#include "exporters/response_policy.h"

namespace holdfast {
namespace {

constexpr std::size_t kAnswerBytesKept = 64 << 10;
constexpr std::size_t kAnswerBytesMax = 1 << 20;  // a longer one is cut off
constexpr long kUploadBufferBytes = 256 << 10;    // a merged body leaves in one or two writes
constexpr long kConnectTimeoutMsMax = 30'000;
constexpr long kAuthoritySecondsMax = 60;  // libcurl keeps what it has read of them for a day
constexpr int kPollMsMax = 60'000;         // libcurl's own timers end a poll earlier

struct EasyCleanup {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct MultiCleanup {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct ListCleanup {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

bool is_token_char(char c) {
  const bool alphanumeric =
      (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return alphanumeric || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_value_char(char c) {
  return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
}

std::string lower_case(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  return lower;
}

bool equal_names(std::string_view a, std::string_view b) { return lower_case(a) == lower_case(b); }

/// Headers that frame or name the body: they are the exporter's own.
bool is_reserved(std::string_view name) {
  static constexpr std::array<std::string_view, 6> kReserved{"content-type",   "content-encoding",
                                                             "content-length", "transfer-encoding",
                                                             "expect",         "connection"};
  return std::find(kReserved.begin(), kReserved.end(), lower_case(name)) != kReserved.end();
}

struct UrlCleanup {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
struct CurlFree {
  void operator()(char* text) const { curl_free(text); }
};

std::string url_part(const std::string& url, CURLUPart part) {
  const std::unique_ptr<CURLU, UrlCleanup> parsed(curl_url());
  char* text = nullptr;
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return {};
  if (curl_url_get(parsed.get(), part, &text, 0) != CURLUE_OK) return {};
  return std::unique_ptr<char, CurlFree>(text).get();
}

std::string with_host(const std::string& url, const std::string& host) {
  const std::unique_ptr<CURLU, UrlCleanup> parsed(curl_url());
  char* text = nullptr;
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK ||
      curl_url_set(parsed.get(), CURLUPART_HOST, host.c_str(), 0) != CURLUE_OK ||
      curl_url_get(parsed.get(), CURLUPART_URL, &text, 0) != CURLUE_OK) {
    return url;
  }
  return std::unique_ptr<char, CurlFree>(text).get();
}

struct PemOptions {
  CURLoption file;
  CURLoption text;
};

void set_pem(CURL* easy, PemOptions options, const std::string& file, const std::string& text) {
  if (!file.empty()) {
    curl_easy_setopt(easy, options.file, file.c_str());
  } else if (!text.empty()) {
    curl_blob blob{const_cast<char*>(text.data()), text.size(), CURL_BLOB_COPY};
    curl_easy_setopt(easy, options.text, &blob);
  }
}

void set_tls_parameters(CURL* easy, const HttpTlsOptions& tls) {
  long versions = tls.only_1_3 ? CURL_SSLVERSION_TLSv1_3 : CURL_SSLVERSION_TLSv1_2;
  if (tls.only_1_2) versions |= CURL_SSLVERSION_MAX_TLSv1_2;
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, versions);
  if (!tls.ciphers.empty()) curl_easy_setopt(easy, CURLOPT_SSL_CIPHER_LIST, tls.ciphers.c_str());
  if (!tls.groups.empty()) curl_easy_setopt(easy, CURLOPT_SSL_EC_CURVES, tls.groups.c_str());
}

/// The environment's proxies as the Collector takes them: never for this machine, and HTTP_PROXY in
/// capitals as well, which libcurl leaves alone. NO_PROXY and the rest are libcurl's.
void set_proxy(CURL* easy, const std::string& url) {
  const std::string host = url_part(url, CURLUPART_HOST);
  if (host == "localhost" || host == "[::1]" || host.starts_with("127.")) {
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    return;
  }
  const char* proxy = std::getenv("HTTP_PROXY");
  if (url_part(url, CURLUPART_SCHEME) == "http" && std::getenv("http_proxy") == nullptr &&
      proxy != nullptr && *proxy != '\0') {
    curl_easy_setopt(easy, CURLOPT_PROXY, proxy);
  }
}

class OtlpHttpExporter : public Exporter {
 public:
  OtlpHttpExporter(const OtlpHttpOptions& options, Signal signal)
      : form_{.coding = options.compression,
              .encoding = options.encoding,
              .level = options.compression_level},
        own_headers_(options.headers),
        credentials_source_(options.credentials),
        multi_(curl_multi_init()),
        easy_(curl_easy_init()) {
    curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, 1L);
    const std::string& url = options.urls[index_of(signal)];
    set_transfer(options, url);
    set_tls(options.tls);
    if (!options.tls.server_name.empty()) set_server_name(options.tls.server_name, url);
    set_headers();
  }

  BodyForm form() const override { return form_; }

  SendResult send(const ExportBatch& batch, std::stop_token stop) override {
    answer_.clear();
    answer_length_ = 0;
    head_complete_ = false;
    error_[0] = '\0';
    renew_credentials();
    // libcurl reads the body where it lies.
    curl_easy_setopt(easy_.get(), CURLOPT_POSTFIELDS, batch.body.data());
    curl_easy_setopt(easy_.get(), CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(batch.body.size()));
    const CURLcode code = perform(stop);
    if (stop.stop_requested() && code != CURLE_OK) return transport_failure("stopped");
    UpstreamAnswer answer = read_answer();
    // An endless answer is cut off: where its status is an error that is all there is to know.
    const bool cut_off_error = code == CURLE_WRITE_ERROR && answer.status >= 300;
    // libcurl takes a head that ends with the connection for a whole one.
    if (code == CURLE_OK && !head_complete_) return transport_failure("the answer broke off");
    if (code == CURLE_OK || cut_off_error) return judge_answer(answer, std::time(nullptr));
    SendResult failure =
        transport_failure(error_[0] != '\0' ? error_.data() : curl_easy_strerror(code));
    curl_off_t uploaded = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_SIZE_UPLOAD_T, &uploaded);
    failure.unanswered = uploaded > 0;
    return failure;
  }

 private:
  void add_header(const std::string& line) {
    curl_slist* list = curl_slist_append(headers_.get(), line.c_str());
    if (list == nullptr) return;
    static_cast<void>(headers_.release());  // appending keeps the head of the list
    headers_.reset(list);
  }

  void renew_credentials() {
    if (!credentials_source_) return;
    auto now = credentials_source_();
    if (now == credentials_) return;
    credentials_ = std::move(now);
    set_headers();
  }

  void set_headers() {
    headers_.reset();
    add_header(form_.encoding == BodyEncoding::json ? "Content-Type: application/json"
                                                    : "Content-Type: application/x-protobuf");
    add_header("Expect:");  // a round trip before each larger body
    if (form_.coding != ContentCoding::identity) {
      add_header("Content-Encoding: " + std::string(coding_name(form_.coding)));
    }
    const auto names = [this](std::string_view name) {
      return std::any_of(own_headers_.begin(), own_headers_.end(),
                         [&](const auto& own) { return equal_names(own.first, name); });
    };
    if (!host_.empty() && !names("host")) add_header("Host: " + host_);
    for (const auto& [name, value] : own_headers_) {
      if (!equal_names(name, credentials_.first)) add_own_header(name, value);
    }
    add_own_header(credentials_.first, credentials_.second);
    curl_easy_setopt(easy_.get(), CURLOPT_HTTPHEADER, headers_.get());
  }

  void add_own_header(const std::string& name, const std::string& value) {
    if (!is_sendable_header(name, value)) return;
    // libcurl takes "Name:" for "do not send it" and "Name;" for an empty one.
    add_header(value.empty() ? name + ";" : name + ": " + value);
  }

  void set_transfer(const OtlpHttpOptions& options, const std::string& url) {
    CURL* easy = easy_.get();
    curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    if (options.proxy_url.empty()) {
      set_proxy(easy, url);
    } else {
      curl_easy_setopt(easy, CURLOPT_PROXY, options.proxy_url.c_str());
      curl_easy_setopt(easy, CURLOPT_NOPROXY, "");  // it is meant for all, whatever NO_PROXY says
    }
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "holdfast/" HOLDFAST_VERSION);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);  // a stop does not wait for a name server
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, kUploadBufferBytes);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    const auto idle = std::chrono::ceil<std::chrono::seconds>(options.idle_timeout);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, static_cast<long>(idle.count()));
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, options.keep_alive ? 0L : 1L);
    const long timeout_ms = static_cast<long>(options.timeout.count());
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(
        easy, CURLOPT_CONNECTTIMEOUT_MS,
        timeout_ms == 0 ? kConnectTimeoutMsMax : std::min(timeout_ms, kConnectTimeoutMsMax));
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_.data());
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &OtlpHttpExporter::take_head_line);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &OtlpHttpExporter::take_answer);
  }

  void set_tls(const HttpTlsOptions& tls) {
    CURL* easy = easy_.get();
    set_tls_parameters(easy, tls);
    curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, kAuthoritySecondsMax);
    set_pem(easy, {CURLOPT_CAINFO, CURLOPT_CAINFO_BLOB}, tls.ca_file, tls.ca_pem);
    const bool own = !tls.ca_file.empty() || !tls.ca_pem.empty();
    // That authority and no other.
    if (own && !tls.with_system_cas) curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
    set_pem(easy, {CURLOPT_SSLCERT, CURLOPT_SSLCERT_BLOB}, tls.cert_file, tls.cert_pem);
    set_pem(easy, {CURLOPT_SSLKEY, CURLOPT_SSLKEY_BLOB}, tls.key_file, tls.key_pem);
    if (tls.insecure_skip_verify) {
      curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
      curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
  }

  /// libcurl takes the name from the URL alone: it gets a URL with that name, and is told where it
  /// really goes.
  void set_server_name(const std::string& name, const std::string& url) {
    if (url_part(url, CURLUPART_SCHEME) != "https") return;
    const std::string host = url_part(url, CURLUPART_HOST);
    const std::string port = url_part(url, CURLUPART_PORT);
    const std::string there = ":" + (port.empty() ? "443" : port);
    connect_to_.reset(curl_slist_append(nullptr, (name + there + ":" + host + there).c_str()));
    curl_easy_setopt(easy_.get(), CURLOPT_CONNECT_TO, connect_to_.get());
    curl_easy_setopt(easy_.get(), CURLOPT_URL, with_host(url, name).c_str());
    host_ = port.empty() ? host : host + ":" + port;
  }

  static std::size_t take_answer(char* bytes, std::size_t, std::size_t length, void* self) {
    auto* exporter = static_cast<OtlpHttpExporter*>(self);
    exporter->answer_length_ += length;
    if (exporter->answer_length_ > kAnswerBytesMax) return CURL_WRITEFUNC_ERROR;
    const std::size_t room = kAnswerBytesKept - exporter->answer_.size();
    exporter->answer_.append(bytes, std::min(length, room));
    return length;
  }

  static std::size_t take_head_line(char* bytes, std::size_t, std::size_t length, void* self) {
    const std::string_view line(bytes, length);
    auto* exporter = static_cast<OtlpHttpExporter*>(self);
    // An interim answer (100) has a head of its own; trailers come after the blank line.
    if (line.starts_with("HTTP/")) exporter->head_complete_ = false;
    if (line == "\r\n" || line == "\n") exporter->head_complete_ = true;
    return length;
  }

  /// The transfer through a multi handle, since that can be woken from another thread.
  CURLcode perform(const std::stop_token& stop) {
    curl_multi_add_handle(multi_.get(), easy_.get());
    CURLcode code = CURLE_ABORTED_BY_CALLBACK;
    {
      std::stop_callback wake(stop, [this] { curl_multi_wakeup(multi_.get()); });
      int running = 1;
      while (!stop.stop_requested() && running != 0) {
        if (curl_multi_perform(multi_.get(), &running) != CURLM_OK) break;
        if (running != 0) curl_multi_poll(multi_.get(), nullptr, 0, kPollMsMax, nullptr);
      }
    }
    int queued = 0;
    while (CURLMsg* message = curl_multi_info_read(multi_.get(), &queued)) {
      if (message->msg == CURLMSG_DONE) code = message->data.result;
    }
    curl_multi_remove_handle(multi_.get(), easy_.get());
    return code;
  }

  UpstreamAnswer read_answer() {
    UpstreamAnswer answer;
    long status = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
    answer.status = static_cast<int>(status);
    const char* content_type = nullptr;
    curl_easy_getinfo(easy_.get(), CURLINFO_CONTENT_TYPE, &content_type);
    if (content_type != nullptr) answer.content_type = content_type;
    curl_header* retry_after = nullptr;
    if (curl_easy_header(easy_.get(), "Retry-After", 0, CURLH_HEADER, -1, &retry_after) ==
        CURLHE_OK) {
      answer.retry_after = retry_after->value;
    }
    answer.body = answer_;
    return answer;
  }

  const BodyForm form_;
  const std::vector<std::pair<std::string, std::string>> own_headers_;
  const CredentialsSource credentials_source_;
  std::pair<std::string, std::string> credentials_;
  std::string host_;  // where the URL has another; else empty
  std::array<char, CURL_ERROR_SIZE> error_{};
  std::string answer_;
  std::size_t answer_length_ = 0;
  bool head_complete_ = false;
  std::unique_ptr<CURLM, MultiCleanup> multi_;
  std::unique_ptr<curl_slist, ListCleanup> headers_;
  std::unique_ptr<curl_slist, ListCleanup> connect_to_;
  std::unique_ptr<CURL, EasyCleanup> easy_;  // last: it points to all of the above
};

}  // namespace

bool is_sendable_header(std::string_view name, std::string_view value) {
  return !name.empty() && std::all_of(name.begin(), name.end(), is_token_char) &&
         std::all_of(value.begin(), value.end(), is_value_char) && !is_reserved(name);
}

std::unique_ptr<Exporter> make_otlp_http_exporter(const OtlpHttpOptions& options, Signal signal) {
  // Once in the process, before the first handle; C++ makes the other threads wait.
  static const CURLcode library = curl_global_init(CURL_GLOBAL_DEFAULT);
  static_cast<void>(library);
  return std::make_unique<OtlpHttpExporter>(options, signal);
}

}  // namespace holdfast
