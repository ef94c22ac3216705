// The output of one rank on disk: its newest kKeepBytes, in two files that take turns (NAME and
// NAME.1). Offsets count from the rank's first byte.
//
// Owned by the log shipper, on the loop's thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/file/file.h"

namespace tutti::agent {

class RankLog {
 public:
  static constexpr std::uint64_t kKeepBytes = std::uint64_t{64} << 20;

  // A new log; files of that name are replaced. `keep_bytes` > 0.
  static Result<RankLog> Create(std::filesystem::path path, std::uint64_t keep_bytes = kKeepBytes);

  // What does not fit on the disk is lost, and the error says so.
  Status Append(std::string_view data);
  // At most `max` bytes from `offset` on; from begin() when that has been dropped. Fewer at the
  // seam between the files. Empty at the end.
  Result<std::string> Read(std::uint64_t& offset, std::size_t max) const;

  std::uint64_t begin() const { return older_ ? older_begin_ : newer_begin_; }
  std::uint64_t end() const { return end_; }
  void Remove();

 private:
  Status Turn();

  std::filesystem::path path_;
  std::uint64_t half_bytes_ = 0;  // a file's size when the other takes over
  UniqueFd older_;                // [older_begin_, newer_begin_)
  UniqueFd newer_;                // [newer_begin_, end_)
  std::uint64_t older_begin_ = 0;
  std::uint64_t newer_begin_ = 0;
  std::uint64_t end_ = 0;
};

}  // namespace tutti::agent
