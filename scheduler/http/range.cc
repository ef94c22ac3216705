#include "scheduler/http/range.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>
#include <system_error>

namespace tutti::http {
namespace {

std::optional<std::int64_t> Number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || text.front() == '-' || error != std::errc{} ||
      end != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

}  // namespace

ByteRange ParseRange(std::string_view header, std::int64_t size) {
  const ByteRange whole{.kind = ByteRange::Kind::kWhole, .first = 0, .length = size};
  const ByteRange none{.kind = ByteRange::Kind::kUnsatisfiable};
  constexpr std::string_view kUnit = "bytes=";
  if (!header.starts_with(kUnit)) return whole;
  header.remove_prefix(kUnit.size());
  const std::size_t dash = header.find('-');
  if (dash == std::string_view::npos) return whole;
  const std::string_view from = header.substr(0, dash);
  const std::string_view to = header.substr(dash + 1);

  if (from.empty()) {  // the last N bytes
    const auto last = Number(to);
    if (!last) return whole;
    const std::int64_t length = std::min(*last, size);
    if (length == 0) return none;
    return {.kind = ByteRange::Kind::kPart, .first = size - length, .length = length};
  }
  const auto first = Number(from);
  if (!first) return whole;
  std::int64_t end = size;
  if (!to.empty()) {
    const auto last = Number(to);
    if (!last || *last < *first) return whole;
    if (*last < size) end = *last + 1;
  }
  if (*first >= size) return none;
  return {.kind = ByteRange::Kind::kPart, .first = *first, .length = end - *first};
}

}  // namespace tutti::http
