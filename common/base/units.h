// Bytes: a size that cannot be mistaken for a count.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tutti {

struct Bytes {
  std::int64_t count = 0;
  auto operator<=>(const Bytes&) const = default;
};

// "4GiB", "512MiB", "1.5GB", "1024"; units B KiB MiB GiB TiB KB MB GB TB. nullopt for anything
// else, for negative sizes and beyond 2^62.
std::optional<Bytes> ParseBytes(std::string_view text);
// "3.6 MiB", for people.
std::string FormatBytes(Bytes bytes);

}  // namespace tutti
