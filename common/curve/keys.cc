#include "common/curve/keys.h"

#include <openssl/evp.h>
#include <sys/stat.h>

#include <memory>

#include "common/base/check.h"
#include "common/file/file.h"

namespace tutti::curve {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kAlphabet =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

using RawKey = std::array<std::uint8_t, kKeyBytes>;

}  // namespace

std::string EncodeZ85(std::span<const std::uint8_t> bytes) {
  TUTTI_CHECK(bytes.size() % 4 == 0, bytes.size(), " bytes");
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 4) {
    std::uint32_t word = 0;
    for (std::size_t j = 0; j < 4; ++j) word = word << 8 | bytes[i + j];
    for (std::uint32_t divisor = 85U * 85U * 85U * 85U; divisor != 0; divisor /= 85) {
      text.push_back(kAlphabet[word / divisor % 85]);
    }
  }
  return text;
}

std::optional<RawKey> DecodeKey(std::string_view text) {
  if (text.size() != kKeyText) return std::nullopt;
  RawKey bytes{};
  for (std::size_t group = 0; group < kKeyText / 5; ++group) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < 5; ++i) {
      const std::size_t digit = kAlphabet.find(text[group * 5 + i]);
      if (digit == std::string_view::npos) return std::nullopt;
      word = word * 85 + digit;
    }
    if (word > 0xffffffffU) return std::nullopt;
    for (std::size_t i = 0; i < 4; ++i) {
      bytes[group * 4 + i] = static_cast<std::uint8_t>(word >> (24 - 8 * i) & 0xff);
    }
  }
  return bytes;
}

Result<KeyPair> MakeKeyPair() {
  const std::unique_ptr<EVP_PKEY, FreeKey> key(EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519"));
  RawKey secret{};
  RawKey shared{};
  std::size_t secret_size = secret.size();
  std::size_t shared_size = shared.size();
  if (key == nullptr || EVP_PKEY_get_raw_private_key(key.get(), secret.data(), &secret_size) != 1 ||
      EVP_PKEY_get_raw_public_key(key.get(), shared.data(), &shared_size) != 1 ||
      secret_size != kKeyBytes || shared_size != kKeyBytes) {
    return Fail(ErrorCode::kInternal, "OpenSSL cannot make an X25519 key");
  }
  return KeyPair{EncodeZ85(shared), EncodeZ85(secret)};
}

Result<std::string> LoadKey(const fs::path& path) {
  TUTTI_ASSIGN_OR_RETURN(std::string text, ReadFile(path, Bytes{4096}));
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const std::size_t last = text.find_last_not_of(" \t\r\n");
  text = first == std::string::npos ? "" : text.substr(first, last - first + 1);
  if (!DecodeKey(text)) {
    return Fail(ErrorCode::kInvalid, "holds no CURVE key (40 characters of Z85)", path.string(),
                "remove the key files; new ones are made at the next start");
  }
  return text;
}

Result<KeyPair> LoadOrMakeKeyPair(const fs::path& directory) {
  const fs::path secret_path = directory / "curve.key";
  const fs::path public_path = directory / "curve.pub";
  std::error_code ignored;
  if (!fs::exists(secret_path, ignored) || !fs::exists(public_path, ignored)) {
    TUTTI_RETURN_IF_ERROR(MakeDirectories(directory));
    TUTTI_ASSIGN_OR_RETURN(KeyPair made, MakeKeyPair());
    // The public one last: it is there only when its secret is.
    TUTTI_RETURN_IF_ERROR(WriteFileAtomically(secret_path, made.secret_key + "\n", {.mode = 0600}));
    TUTTI_RETURN_IF_ERROR(WriteFileAtomically(public_path, made.public_key + "\n"));
    return made;
  }
  struct stat status {};
  if (::stat(secret_path.c_str(), &status) != 0) {
    return Fail(ErrnoError("cannot look at", secret_path.string(), errno));
  }
  if ((status.st_mode & 077) != 0) {
    return Fail(ErrorCode::kAuth, "others may read this secret key", secret_path.string(),
                "chmod 600 " + secret_path.string());
  }
  TUTTI_ASSIGN_OR_RETURN(std::string secret, LoadKey(secret_path));
  TUTTI_ASSIGN_OR_RETURN(std::string shared, LoadKey(public_path));
  return KeyPair{std::move(shared), std::move(secret)};
}

}  // namespace tutti::curve
