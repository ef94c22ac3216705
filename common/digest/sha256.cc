#include "common/digest/sha256.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "common/base/check.h"

namespace tutti {
namespace {

constexpr std::string_view kPrefix = "sha256:";
constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::size_t kBlockBytes = std::size_t{1} << 20;

// Looked up once: EVP_sha256() has OpenSSL look for it at each use.
const EVP_MD* Algorithm() {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return algorithm;
}

}  // namespace

std::string Digest::ToHex() const {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    text += kHexDigits[byte >> 4];
    text += kHexDigits[byte & 15];
  }
  return text;
}

std::string Digest::ToString() const { return std::string(kPrefix) + ToHex(); }

std::optional<Digest> Digest::Parse(std::string_view text) {
  if (!text.starts_with(kPrefix)) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  Digest digest;
  if (text.size() != digest.bytes.size() * 2) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto value = kHexDigits.find(text[i]);
    if (value == std::string_view::npos) return std::nullopt;
    auto& byte = digest.bytes[i / 2];
    byte = static_cast<std::uint8_t>(byte << 4 | value);
  }
  return digest;
}

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  TUTTI_CHECK(state_->context != nullptr &&
              EVP_DigestInit_ex(state_->context, Algorithm(), nullptr) == 1);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::Update(std::span<const std::byte> data) {
  TUTTI_CHECK(EVP_DigestUpdate(state_->context, data.data(), data.size()) == 1);
}

Digest Sha256::Finish() {
  Digest digest;
  unsigned size = 0;
  TUTTI_CHECK(EVP_DigestFinal_ex(state_->context, digest.bytes.data(), &size) == 1 && size == 32);
  return digest;
}

Digest Sha256Of(std::string_view data) {
  Sha256 hash;
  hash.Update(data);
  return hash.Finish();
}

Digest HmacSha256(std::string_view key, std::string_view message) {
  Digest mac;
  unsigned size = 0;
  const bool made = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                         reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                         mac.bytes.data(), &size) != nullptr;
  TUTTI_CHECK(made && size == mac.bytes.size());
  return mac;
}

bool SameSecret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Result<Digest> Sha256OfFile(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Fail(ErrnoError("cannot open", path.string(), errno));
  Sha256 hash;
  std::vector<std::byte> block(kBlockBytes);
  for (;;) {
    const ssize_t count = ::read(fd, block.data(), block.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int error_number = errno;
      ::close(fd);
      return Fail(ErrnoError("cannot read", path.string(), error_number));
    }
    if (count == 0) break;
    hash.Update(std::span(block).first(static_cast<std::size_t>(count)));
  }
  ::close(fd);
  return hash.Finish();
}

}  // namespace tutti
