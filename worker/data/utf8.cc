#include "worker/data/utf8.h"

#include <cstdint>
#include <cstring>

namespace tutti::data {
namespace {

constexpr std::uint64_t kHighBits = 0x8080'8080'8080'8080;

struct Lead {
  std::size_t more = 0;                   // continuation bytes; 0: no lead byte
  unsigned char low = 0x80, high = 0xBF;  // the first of them
};

Lead LeadOf(unsigned char byte) {
  if (byte >= 0xC2 && byte <= 0xDF) return {.more = 1};
  if (byte == 0xE0) return {.more = 2, .low = 0xA0};
  if (byte == 0xED) return {.more = 2, .high = 0x9F};  // no surrogates
  if (byte >= 0xE1 && byte <= 0xEF) return {.more = 2};
  if (byte == 0xF0) return {.more = 3, .low = 0x90};
  if (byte >= 0xF1 && byte <= 0xF3) return {.more = 3};
  if (byte == 0xF4) return {.more = 3, .high = 0x8F};
  return {};
}

bool IsTail(std::string_view text, std::size_t at, const Lead& lead) {
  if (lead.more == 0 || text.size() - at <= lead.more) return false;
  const auto first = static_cast<unsigned char>(text[at + 1]);
  if (first < lead.low || first > lead.high) return false;
  for (std::size_t i = 2; i <= lead.more; ++i) {
    if ((static_cast<unsigned char>(text[at + i]) & 0xC0) != 0x80) return false;
  }
  return true;
}

}  // namespace

std::size_t FirstBadByte(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    std::uint64_t word = 0;
    if (text.size() - at >= sizeof word) {
      std::memcpy(&word, text.data() + at, sizeof word);
      if ((word & kHighBits) == 0) {
        at += sizeof word;
        continue;
      }
    }
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x80) {
      ++at;
      continue;
    }
    const Lead lead = LeadOf(byte);
    if (!IsTail(text, at, lead)) return at;
    at += 1 + lead.more;
  }
  return at;
}

}  // namespace tutti::data
