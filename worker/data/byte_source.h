// The bytes of a file, block by block; of a gzip file, what it expands to. Memory stays at two
// blocks whatever the file claims. A ByteSource belongs to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/file/file.h"

namespace tutti::data {

// A gzip file may expand to this much, and beyond it to this many times its size: text shrinks 3 to
// 20 times, a bomb a thousand.
inline constexpr std::int64_t kExpansionFree = std::int64_t{1} << 20;
inline constexpr std::int64_t kExpansionTimes = 200;

class ByteSource {
 public:
  // `where` names the file in errors. kNotFound, kIo.
  static Result<ByteSource> Open(const std::filesystem::path& path, bool gzip, std::string where);
  ByteSource(ByteSource&&) noexcept;
  ByteSource& operator=(ByteSource&&) noexcept;
  ~ByteSource();

  // The next bytes, valid until the next call; empty at the end. kInvalid: not gzip, cut short,
  // corrupt; kTooLarge: it expands too much.
  Result<std::string_view> Next();

 private:
  struct Inflater;  // zlib keeps pointers to it: it never moves
  ByteSource(UniqueFd fd, std::string where, bool gzip);
  Result<std::string_view> ReadBlock();
  Result<std::string_view> Inflate();

  UniqueFd fd_;
  std::string where_;
  std::vector<char> block_;
  std::unique_ptr<Inflater> inflater_;  // null: not gzip
};

}  // namespace tutti::data
