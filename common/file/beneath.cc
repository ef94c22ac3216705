#include "common/file/beneath.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

namespace tutti {
namespace {

namespace fs = std::filesystem;

constexpr int kTriesMax = 16;  // openat2 says EAGAIN when folders move while it walks

Result<UniqueFd> OpenRoot(const fs::path& root) {
  UniqueFd fd(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return Fail(ErrnoError("cannot open the folder", root.string(), errno));
  return fd;
}

Unexpected Refuse(const fs::path& path, int error_number) {
  if (error_number == ELOOP || error_number == EXDEV) {
    return Fail(ErrorCode::kInvalid,
                "the path changed while it was opened: a part of it is a link now", path.string(),
                "try again");
  }
  return Fail(ErrnoError("cannot open", path.string(), error_number));
}

// "." for none: the folder itself.
Result<std::vector<std::string>> PartsOf(const fs::path& root, const fs::path& relative) {
  std::vector<std::string> parts;
  for (const fs::path& part : relative) {
    if (part.empty() || part == ".") continue;
    if (part == ".." || part.is_absolute()) {
      return Fail(ErrorCode::kInvalid, "not a path below " + root.string(), relative.string());
    }
    parts.push_back(part.string());
  }
  if (parts.empty()) parts.emplace_back(".");
  return parts;
}

}  // namespace

Result<UniqueFd> OpenBeneathByParts(const fs::path& root, const fs::path& relative, int flags) {
  TUTTI_ASSIGN_OR_RETURN(const std::vector<std::string> parts, PartsOf(root, relative));
  TUTTI_ASSIGN_OR_RETURN(UniqueFd folder, OpenRoot(root));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const bool last = i + 1 == parts.size();
    const int how =
        last ? flags | O_NOFOLLOW | O_CLOEXEC : O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    UniqueFd next(::openat(folder.get(), parts[i].c_str(), how));
    if (!next) {
      // A link where a folder should be is ENOTDIR.
      const int error_number = errno;
      struct stat about {};
      const bool link =
          ::fstatat(folder.get(), parts[i].c_str(), &about, AT_SYMLINK_NOFOLLOW) == 0 &&
          S_ISLNK(about.st_mode);
      return Refuse(root / relative, link ? ELOOP : error_number);
    }
    folder = std::move(next);
  }
  return folder;
}

Result<UniqueFd> OpenBeneath(const fs::path& root, const fs::path& relative, int flags) {
  TUTTI_ASSIGN_OR_RETURN(const std::vector<std::string> parts, PartsOf(root, relative));
  TUTTI_ASSIGN_OR_RETURN(const UniqueFd folder, OpenRoot(root));
  std::string joined;
  for (const std::string& part : parts) joined += (joined.empty() ? "" : "/") + part;
  open_how how{};
  how.flags = static_cast<__u64>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  for (int tries = 0; tries < kTriesMax; ++tries) {
    const long fd = ::syscall(SYS_openat2, folder.get(), joined.c_str(), &how, sizeof how);
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    if (errno == EAGAIN || errno == EINTR) continue;
    // Filters of containers that are older than the call answer EPERM.
    if (errno == ENOSYS || errno == EPERM) break;
    return Refuse(root / relative, errno);
  }
  return OpenBeneathByParts(root, relative, flags);
}

}  // namespace tutti
