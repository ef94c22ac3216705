// CURVE keys of ZeroMQ connections: X25519 pairs, written as Z85 (40 characters), made by OpenSSL
// so that programs without ZeroMQ can make them too. Free functions; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace tutti::curve {

inline constexpr std::size_t kKeyBytes = 32;
inline constexpr std::size_t kKeyText = 40;  // characters of Z85

struct KeyPair {
  std::string public_key;  // Z85
  std::string secret_key;  // Z85; never logged
};

Result<KeyPair> MakeKeyPair();
// `directory`/curve.key (mode 0600) and `directory`/curve.pub, made when there are none. kAuth when
// others may read the secret; kInvalid when a file holds no key.
Result<KeyPair> LoadOrMakeKeyPair(const std::filesystem::path& directory);
// One Z85 key in a file, white space around it ignored. kInvalid when it is none.
Result<std::string> LoadKey(const std::filesystem::path& path);

// ZeroMQ RFC 32. REQUIRES: a multiple of 4 bytes.
std::string EncodeZ85(std::span<const std::uint8_t> bytes);
// 32 bytes from exactly 40 characters, or nullopt.
std::optional<std::array<std::uint8_t, kKeyBytes>> DecodeKey(std::string_view text);

}  // namespace tutti::curve
