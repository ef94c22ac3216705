#include "worker/agent/token_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <compare>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "common/base/log.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::time_t kUnderWayMaxSeconds = 3600;

struct TokenFile {
  fs::path path;
  std::int64_t size = 0;
  std::pair<std::time_t, long> used{};  // set whenever an engine reads it
};

void Remove(const TokenFile& file, const char* event) {
  if (::unlink(file.path.c_str()) != 0) return;
  Log(kInfo, event, {{"path", file.path.string()}, {"bytes", file.size}});
}

}  // namespace

void BoundTokenFiles(const fs::path& directory, Bytes max) {
  std::vector<TokenFile> files;
  std::int64_t total = 0;
  const std::time_t now = std::time(nullptr);
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    struct stat info {};
    if (::lstat(it->path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    TokenFile file{it->path(), info.st_size, {info.st_mtim.tv_sec, info.st_mtim.tv_nsec}};
    if (it->path().extension() == ".tokens") {
      total += file.size;
      files.push_back(std::move(file));
    } else if (now - info.st_mtim.tv_sec > kUnderWayMaxSeconds) {
      Remove(file, "token_leftover_removed");
    }
  }
  std::sort(files.begin(), files.end(),
            [](const TokenFile& a, const TokenFile& b) { return a.used < b.used; });
  for (const TokenFile& file : files) {
    if (total <= max.count) return;
    Remove(file, "tokens_evicted");
    total -= file.size;
  }
}

}  // namespace tutti::agent
