#include "http/fetch.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "http/server.h"

namespace glia::http {
namespace {

using Why = Unreachable::Why;

/// A key and a certificate for one name, which it signs itself.
struct SelfSigned {
  explicit SelfSigned(const char* alternative_name) {
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME* name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("glia test"), -1, -1,
                               0);
    X509_set_issuer_name(certificate, name);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, alternative_name);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    X509_sign(certificate, key, EVP_sha256());
  }
  ~SelfSigned() {
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  SelfSigned(const SelfSigned&) = delete;
  SelfSigned& operator=(const SelfSigned&) = delete;
  void save(const std::string& path) const {
    FILE* file = std::fopen(path.c_str(), "w");
    PEM_write_X509(file, certificate);
    std::fclose(file);
  }

  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
};

/// Answers every connection with one page over TLS.
class TlsServer {
 public:
  explicit TlsServer(const SelfSigned& identity) {
    SSL_CTX_use_certificate(context_, identity.certificate);
    SSL_CTX_use_PrivateKey(context_, identity.key);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    ::listen(listener_, 8);
    socklen_t size = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~TlsServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
    SSL_CTX_free(context_);
  }
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;
  std::string url() const { return "https://127.0.0.1:" + std::to_string(port_) + "/"; }

 private:
  void serve() {
    while (true) {
      const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (socket < 0) return;
      SSL* tls = SSL_new(context_);
      SSL_set_fd(tls, socket);
      char buffer[4096];
      if (SSL_accept(tls) == 1 && SSL_read(tls, buffer, sizeof buffer) > 0) {
        constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret";
        SSL_write(tls, kAnswer.data(), static_cast<int>(kAnswer.size()));
      }
      SSL_free(tls);
      ::close(socket);
    }
  }

  SSL_CTX* context_ = SSL_CTX_new(TLS_server_method());
  int listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::uint16_t port_ = 0;
  std::thread thread_;
};

class FetchTest : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("NO_PROXY", "*", 1);
    ::signal(SIGPIPE, SIG_IGN);
    std::string name = (std::filesystem::temp_directory_path() / "glia-fetch-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    dir_ = name;
    server_ = Server::start({}, [](Request request, std::shared_ptr<Responder> responder) {
      if (request.path == "/moved") return responder->send(302, {{"location", "/there?a=b"}}, "moved");
      if (request.path == "/silent") return hold(std::move(responder));
      if (request.path == "/cut") {
        responder->begin(200, {});
        return responder->write("half");  // dropped without an end
      }
      if (request.path == "/404") return responder->send(404, {{"X-Error-Code", "EntryNotFound"}}, "none");
      responder->send(200, {{"X-Seen", std::string(request.header("authorization").value_or("none"))}}, "hello");
    });
    base_ = "http://127.0.0.1:" + std::to_string(server_->port());
  }
  void TearDown() override {
    hold(nullptr);
    std::filesystem::remove_all(dir_);
  }
  /// Called on the server's thread too.
  static void hold(std::shared_ptr<Responder> responder) {
    const std::lock_guard lock(held_mutex_);
    held_ = std::move(responder);
  }

  FetchAnswer get(const std::string& url, FetchOptions options = {}, const Headers& headers = {}) {
    body_.clear();
    return Fetcher(options).get(url, headers, {}, [this](std::string_view piece) {
      body_ += piece;
      return true;
    });
  }
  std::optional<Why> why(const std::string& url, FetchOptions options = {}) {
    try {
      get(url, options);
    } catch (const Unreachable& error) {
      return error.why;
    }
    return std::nullopt;
  }

  static inline std::mutex held_mutex_;
  static inline std::shared_ptr<Responder> held_;
  std::filesystem::path dir_;
  std::unique_ptr<Server> server_;
  std::string base_;
  std::string body_;
};

TEST_F(FetchTest, AnyStatusIsAnAnswer) {
  auto answer = get(base_ + "/", {}, {{"authorization", "Bearer x"}});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("x-seen"), "Bearer x");
  EXPECT_EQ(body_, "hello");
  answer = get(base_ + "/404");
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.header("x-error-code"), "EntryNotFound");
  answer = get(base_ + "/moved");
  EXPECT_EQ(answer.status, 302) << "handed back, not followed";
  EXPECT_EQ(answer.header("location"), "/there?a=b");
}

TEST_F(FetchTest, CallbacksEndARequest) {
  Fetcher fetcher({});
  bool body = false;
  const auto take = [&](std::string_view) { return body = true; };
  EXPECT_TRUE(fetcher
                  .get(
                      base_ + "/", {}, [](const FetchAnswer& head) { return head.status == 404; }, take)
                  .stopped);
  EXPECT_FALSE(body);
  EXPECT_TRUE(fetcher.get(base_ + "/", {}, {}, [](std::string_view) { return false; }).stopped);
  EXPECT_THROW(fetcher.get(base_ + "/", {}, {}, [](std::string_view) -> bool { throw Error(ErrorCode::internal); }),
               Error);
  EXPECT_EQ(fetcher.get(base_ + "/", {}, {}, take).status, 200) << "and leave the fetcher whole";
}

TEST_F(FetchTest, NoAnswerSaysWhy) {
  EXPECT_EQ(why("http://127.0.0.1:1/"), Why::refused);
  EXPECT_EQ(why("http://no.such.host.invalid/"), Why::refused);
  EXPECT_EQ(why(base_ + "/silent", {.stall_timeout_s = 1}), Why::timed_out);
  EXPECT_EQ(why(base_ + "/cut"), Why::cut_off);
  for (const char* url : {"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "", "nonsense:"}) {
    EXPECT_EQ(why(url), Why::malformed) << url;
  }
}

TEST_F(FetchTest, CancellingEndsAWait) {
  std::atomic<bool> cancelled = false;
  std::jthread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    cancelled = true;
  });
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(get(base_ + "/silent", {.cancelled = &cancelled}).cancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST_F(FetchTest, ACertificateNobodyVouchesForIsRefused) {
  const SelfSigned identity("IP:127.0.0.1");
  const TlsServer server(identity);
  EXPECT_EQ(why(server.url()), Why::untrusted);
  EXPECT_EQ(body_, "");
  const std::string ca = dir_ / "ca.pem";
  identity.save(ca);
  EXPECT_EQ(get(server.url(), {.ca_file = ca}).status, 200);
  EXPECT_EQ(body_, "secret");
  ::setenv("SSL_CERT_FILE", ca.c_str(), 1);
  EXPECT_EQ(get(server.url()).status, 200);
  ::setenv("SSL_CERT_FILE", "/nowhere.pem", 1);
  EXPECT_EQ(why(server.url()), Why::untrusted);
  ::unsetenv("SSL_CERT_FILE");
}

TEST_F(FetchTest, ACertificateOfAnotherNameIsRefused) {
  const SelfSigned identity("DNS:example.com");
  const TlsServer server(identity);
  const std::string ca = dir_ / "ca.pem";
  identity.save(ca);
  EXPECT_EQ(why(server.url(), {.ca_file = ca}), Why::untrusted);
}

TEST(Urls, OriginsAndRedirects) {
  EXPECT_EQ(origin_of("https://huggingface.co/a?b"), "https://huggingface.co:443");
  EXPECT_EQ(origin_of("HTTP://User@Host.Example:8080/x"), "http://host.example:8080");
  EXPECT_EQ(origin_of("https://hf.co@evil.example/"), "https://evil.example:443");
  EXPECT_FALSE(origin_of("file:///x"));
  EXPECT_EQ(redirected("https://a.b/c/d?e", "/f"), "https://a.b/f");
  EXPECT_EQ(redirected("https://a.b/c/d", "//x.y/z"), "https://x.y/z");
  EXPECT_EQ(redirected("https://a.b/c", "http://x.y:81/z"), "http://x.y:81/z");
  EXPECT_FALSE(redirected("https://a.b/c", "file:///etc/passwd"));
  EXPECT_FALSE(redirected("https://a.b/c", "javascript:x"));
}

}  // namespace
}  // namespace glia::http
