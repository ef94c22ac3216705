#include "monitoring/tensorboard/record.h"

#include <array>

namespace tutti::tensorboard {
namespace {

constexpr std::size_t kHead = 12;
constexpr std::size_t kTail = 4;

constexpr std::array<std::uint32_t, 256> MakeTable() {
  constexpr std::uint32_t kPolynomial = 0x82F63B78;  // reflected
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? kPolynomial : 0);
    table[byte] = crc;
  }
  return table;
}
constexpr auto kTable = MakeTable();

// So that a CRC of bytes that hold CRCs stays a good one.
std::uint32_t Masked(std::string_view bytes) {
  const std::uint32_t crc = Crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
}

template <typename T>
void Put(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof value; ++i) {
    out += static_cast<char>((value >> (8 * i)) & 0xFF);
  }
}

template <typename T>
T Take(std::string_view bytes) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) {
    value |= static_cast<T>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  return value;
}

}  // namespace

std::uint32_t Crc32c(std::string_view bytes) {
  std::uint32_t crc = ~0U;
  for (const char byte : bytes) {
    crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(byte)) & 0xFF];
  }
  return ~crc;
}

std::string Framed(std::string_view record) {
  std::string out;
  out.reserve(kHead + record.size() + kTail);
  Put<std::uint64_t>(out, record.size());
  Put<std::uint32_t>(out, Masked(out));
  out += record;
  Put<std::uint32_t>(out, Masked(record));
  return out;
}

bool RecordReader::Next(std::string_view& record) {
  const std::string_view left = file_.substr(position_);
  if (left.size() < kHead + kTail) return false;
  const auto size = Take<std::uint64_t>(left);
  if (Take<std::uint32_t>(left.substr(8)) != Masked(left.substr(0, 8))) return false;
  if (size > kRecordMax || size > left.size() - kHead - kTail) return false;
  const std::string_view bytes = left.substr(kHead, static_cast<std::size_t>(size));
  if (Take<std::uint32_t>(left.substr(kHead + bytes.size())) != Masked(bytes)) return false;
  record = bytes;
  position_ += kHead + bytes.size() + kTail;
  return true;
}

}  // namespace tutti::tensorboard
