// TFRecord: length-prefixed records with checksums, as TensorFlow's record_writer.cc has them:
//   uint64 length, uint32 masked CRC-32C of it, the bytes, uint32 masked CRC-32C of those
// (little-endian). Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tutti::tensorboard {

inline constexpr std::size_t kRecordMax = std::size_t{16} << 20;

// Castagnoli's CRC-32 (RFC 3720, B.4).
std::uint32_t Crc32c(std::string_view bytes);

std::string Framed(std::string_view record);

// Reads records one after the other from `file`, the bytes of one.
class RecordReader {
 public:
  explicit RecordReader(std::string_view file) : file_(file) {}

  // False at the end, and where what follows is no whole, undamaged record.
  bool Next(std::string_view& record);
  // Bytes of whole, undamaged records so far.
  std::size_t position() const { return position_; }

 private:
  const std::string_view file_;
  std::size_t position_ = 0;
};

}  // namespace tutti::tensorboard
