#include "hub/digest.h"

#include <openssl/evp.h>

#include <array>
#include <new>

namespace glia::hub {

struct Digest::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  Impl() {
    if (context == nullptr) throw std::bad_alloc();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { EVP_MD_CTX_free(context); }
};

Digest::Digest(DigestKind kind, std::uint64_t bytes) : impl_(std::make_unique<Impl>()) {
  EVP_DigestInit_ex(impl_->context, kind == DigestKind::sha256 ? EVP_sha256() : EVP_sha1(), nullptr);
  if (kind == DigestKind::git_blob) {
    const std::string head = "blob " + std::to_string(bytes);
    add({head.c_str(), head.size() + 1});  // with the NUL
  }
}
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;
Digest::~Digest() = default;

void Digest::add(std::string_view bytes) { EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()); }

std::string Digest::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> raw{};
  unsigned size = 0;
  EVP_DigestFinal_ex(impl_->context, raw.data(), &size);
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (unsigned i = 0; i < size; i++) {
    out += kDigits[raw[i] >> 4];
    out += kDigits[raw[i] & 15];
  }
  return out;
}

}  // namespace glia::hub
