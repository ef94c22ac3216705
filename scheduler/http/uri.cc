#include "scheduler/http/uri.h"

#include <cstddef>

namespace tutti::http {
namespace {

constexpr std::size_t kPairsMax = 100;

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool IsControl(unsigned char byte) { return byte < 0x20 || byte == 0x7f; }

}  // namespace

bool IsUtf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80) {
      ++i;
      continue;
    }
    std::size_t more = 0;
    char32_t point = 0;
    char32_t least = 0;
    if ((byte & 0xe0) == 0xc0) {
      more = 1, point = byte & 0x1fu, least = 0x80;
    } else if ((byte & 0xf0) == 0xe0) {
      more = 2, point = byte & 0x0fu, least = 0x800;
    } else if ((byte & 0xf8) == 0xf0) {
      more = 3, point = byte & 0x07u, least = 0x10000;
    } else {
      return false;
    }
    if (i + more >= text.size()) return false;
    for (std::size_t k = 1; k <= more; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      point = (point << 6) | (next & 0x3fu);
    }
    if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return false;
    i += more + 1;
  }
  return true;
}

Result<std::string> PercentDecode(std::string_view text, bool plus_is_space) {
  const auto refuse = [&](std::string what) {
    return Fail(ErrorCode::kInvalid, std::move(what), std::string(text));
  };
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const auto byte = static_cast<unsigned char>(c);
    if (c == '%') {
      if (i + 2 >= text.size()) return refuse("a percent-encoding is cut short");
      const int high = HexValue(text[i + 1]);
      const int low = HexValue(text[i + 2]);
      if (high < 0 || low < 0) return refuse("a percent-encoding has no two hex digits");
      const auto decoded = static_cast<unsigned char>(high * 16 + low);
      if (IsControl(decoded)) return refuse("control characters are not allowed");
      out.push_back(static_cast<char>(decoded));
      i += 2;
    } else if (c == '+' && plus_is_space) {
      out.push_back(' ');
    } else if (byte <= 0x20 || byte >= 0x7f) {
      return refuse("this character must be percent-encoded");
    } else {
      out.push_back(c);
    }
  }
  if (!IsUtf8(out)) return refuse("it is no UTF-8");
  return out;
}

Result<Fields> ParseQuery(std::string_view query) {
  Fields fields;
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view{} : query.substr(end + 1);
    if (pair.empty()) continue;
    if (fields.size() == kPairsMax) {
      return Fail(ErrorCode::kInvalid, "the query has more than 100 parameters");
    }
    const std::size_t equals = pair.find('=');
    TUTTI_ASSIGN_OR_RETURN(std::string name, PercentDecode(pair.substr(0, equals), true));
    std::string value;
    if (equals != std::string_view::npos) {
      TUTTI_ASSIGN_OR_RETURN(value, PercentDecode(pair.substr(equals + 1), true));
    }
    fields.emplace_back(std::move(name), std::move(value));
  }
  return fields;
}

}  // namespace tutti::http
