#include "scheduler/store/reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file/file.h"

namespace tutti::store {
namespace {

namespace fs = std::filesystem;

fs::path PathIn(const fs::path& directory) { return directory / "reserve"; }

}  // namespace

void KeepReserve(const fs::path& directory) {
  const fs::path path = PathIn(directory);
  struct stat about = {};
  if (::stat(path.c_str(), &about) == 0 && about.st_size == kReserve.count) return;
  const auto free = FreeSpace(directory);
  if (!free || free->count < 3 * kReserve.count) return;
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return;
  if (::posix_fallocate(fd.get(), 0, kReserve.count) != 0) ::unlink(path.c_str());
}

bool ReleaseReserve(const fs::path& directory) { return ::unlink(PathIn(directory).c_str()) == 0; }

}  // namespace tutti::store
