// Files the safe way: owned descriptors, whole reads with a cap, writes that exist completely or
// not at all. Free functions; errors name the path.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/result.h"
#include "common/base/units.h"

namespace tutti {

// Owns one file descriptor; -1 = none.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }
  void Reset();

 private:
  int fd_ = -1;
};

// The whole file. kTooLarge when it is longer than `max`.
Result<std::string> ReadFile(const std::filesystem::path& path, Bytes max = Bytes{64 << 20});

// Writes all of `data`, going on after short writes and signals.
Status WriteAll(int fd, std::span<const std::byte> data, const std::string& path_for_errors);

struct WriteOptions {
  unsigned mode = 0644;
  bool durable = true;  // fdatasync the file and fsync its folder
};
// Temp file beside `path` → write → fdatasync → rename → fsync of the folder: after a crash the old
// or the new content is there, never a part.
Status WriteFileAtomically(const std::filesystem::path& path, std::string_view data,
                           WriteOptions options = {});

// fsync of a folder, so that renames inside it are durable.
Status SyncDirectory(const std::filesystem::path& directory);
// mkdir -p; new folders get `mode`.
Status MakeDirectories(const std::filesystem::path& path, unsigned mode = 0755);
// rm -rf. A missing path is no error.
Status RemoveTree(const std::filesystem::path& path);

// A hard link `to` for `from`; where that cannot be, a reflink or a copy. Replaces `to` atomically.
Status LinkOrCopy(const std::filesystem::path& from, const std::filesystem::path& to);

// Free space for unprivileged users on the file system of `path`, and what it holds when empty.
Result<Bytes> FreeSpace(const std::filesystem::path& path);
Result<Bytes> TotalSpace(const std::filesystem::path& path);

// Of a path from outside (a blob's inside a model, say). kInvalid when it is absolute, empty, has
// NUL, ".." or backslashes.
Status CheckPlainRelative(std::string_view path);
// Joins such a path to `root`.
Result<std::filesystem::path> JoinBeneath(const std::filesystem::path& root,
                                          std::string_view relative);

}  // namespace tutti
