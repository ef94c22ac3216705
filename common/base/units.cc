#include "common/base/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <utility>

namespace tutti {
namespace {

constexpr std::array<std::pair<std::string_view, double>, 9> kByteUnits = {
    {{"KiB", 1024.0},
     {"MiB", 1048576.0},
     {"GiB", 1073741824.0},
     {"TiB", 1099511627776.0},
     {"KB", 1e3},
     {"MB", 1e6},
     {"GB", 1e9},
     {"TB", 1e12},
     {"B", 1.0}}};

}  // namespace

std::optional<Bytes> ParseBytes(std::string_view text) {
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc() || text.front() == '-') return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  double unit = 1;
  if (!text.empty()) {
    unit = 0;
    for (const auto& [name, size] : kByteUnits) {
      if (text == name) unit = size;
    }
    if (unit == 0) return std::nullopt;
  }
  const double total = number * unit;
  if (!(total < 0x1p62)) return std::nullopt;
  return Bytes{std::llround(total)};
}

std::string FormatBytes(Bytes bytes) {
  constexpr std::array<const char*, 5> kNames = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto size = static_cast<double>(bytes.count);
  std::size_t i = 0;
  while (std::abs(size) >= 1024 && i + 1 < kNames.size()) {
    size /= 1024;
    ++i;
  }
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), i == 0 ? "%.0f %s" : "%.1f %s", size, kNames[i]);
  return text.data();
}

}  // namespace tutti
