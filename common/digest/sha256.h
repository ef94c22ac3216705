// SHA-256 through OpenSSL: of bytes, of files, of things written piece by piece, under a key.
// Written as "sha256:" and 64 lower-case hex digits wherever it leaves the program.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace tutti {

struct Digest {
  std::array<std::uint8_t, 32> bytes{};

  auto operator<=>(const Digest&) const = default;
  std::string ToHex() const;     // 64 digits
  std::string ToString() const;  // "sha256:" + ToHex()
  // Reads what ToString writes; nullopt for anything else.
  static std::optional<Digest> Parse(std::string_view text);
};

// One use: Update any number of times, then Finish once. One thread at a time.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void Update(std::span<const std::byte> data);
  void Update(std::string_view data) { Update(std::as_bytes(std::span(data))); }
  Digest Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest Sha256Of(std::string_view data);
// HMAC-SHA256: whoever lacks `key` can neither make nor check it.
Digest HmacSha256(std::string_view key, std::string_view message);
// Whether they are the same, in a time that does not tell where they differ.
bool SameSecret(std::string_view a, std::string_view b);
// Reads the file once. Errors name the path.
Result<Digest> Sha256OfFile(const std::filesystem::path& path);

}  // namespace tutti
