#include "worker/agent/in_place.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <string>
#include <utility>

#include "common/file/beneath.h"
#include "jobs/spec/model_files.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;
using Roots = std::span<const fs::path>;
using OpenFiles = std::map<std::string, UniqueFd>;

constexpr std::size_t kEntriesMax = 10'000;
constexpr std::size_t kFilesMax = 500;  // of a model: each takes a descriptor
// O_NONBLOCK: opening a pipe would wait for its writer.
constexpr int kRead = O_RDONLY | O_NONBLOCK | O_NOCTTY;

struct Opened {
  UniqueFd fd;
  fs::path real;  // what it was called, without links
};

std::string ProcPath(int fd) {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd);
}

// Links are followed first; what they lead to is opened without any.
Result<Opened> OpenBelowRoots(const fs::path& path, Roots roots, int flags) {
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (error) return Fail(ErrnoError("cannot find the data", path.string(), error.value()));
  for (const fs::path& root : roots) {
    const fs::path real_root = fs::canonical(root, error);
    if (error) continue;
    const auto parts = std::mismatch(real_root.begin(), real_root.end(), real.begin(), real.end());
    if (parts.first != real_root.end()) continue;
    TUTTI_ASSIGN_OR_RETURN(UniqueFd fd,
                           OpenBeneath(real_root, real.lexically_relative(real_root), flags));
    return Opened{std::move(fd), real};
  }
  return Fail(ErrorCode::kInvalid, "this worker may not read data there", path.string(),
              "start the worker with --data-root of a folder above it, or submit the file itself");
}

Result<bool> IsFile(const UniqueFd& fd, const fs::path& path) {
  struct stat about {};
  if (::fstat(fd.get(), &about) != 0) {
    return Fail(ErrnoError("cannot stat", path.string(), errno));
  }
  return S_ISREG(about.st_mode);
}

Result<std::vector<std::string>> NamesIn(const UniqueFd& folder, const fs::path& path) {
  UniqueFd copy(::openat(folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* const listing = copy ? ::fdopendir(copy.get()) : nullptr;
  if (listing == nullptr) {
    return Fail(ErrnoError("cannot read the folder", path.string(), errno));
  }
  copy.Release();  // closedir's
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(listing)) {
    names.emplace_back(entry->d_name);
    if (names.size() > kEntriesMax) break;
  }
  ::closedir(listing);
  if (names.size() <= kEntriesMax) return names;
  return Fail(ErrorCode::kTooLarge, "a model's folder with more than 10,000 entries",
              path.string());
}

// An entry of an open folder, where it is a file. A link has to lead to somewhere below a root,
// whatever it is called.
Result<UniqueFd> OpenEntry(const Opened& folder, const std::string& name, Roots roots) {
  const fs::path path = folder.real / name;
  UniqueFd fd(::openat(folder.fd.get(), name.c_str(), kRead | O_NOFOLLOW | O_CLOEXEC));
  if (!fd && errno == ELOOP) {
    TUTTI_ASSIGN_OR_RETURN(Opened led_to, OpenBelowRoots(path, roots, kRead));
    fd = std::move(led_to.fd);
  }
  if (!fd) return UniqueFd();  // a socket, or not ours to read: the engine says what it misses
  TUTTI_ASSIGN_OR_RETURN(const bool file, IsFile(fd, path));
  return file ? std::move(fd) : UniqueFd();
}

Result<OpenFiles> OpenModelFiles(const Opened& folder, Roots roots) {
  OpenFiles files;
  TUTTI_ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(folder.fd, folder.real));
  for (const std::string& name : names) {
    TUTTI_ASSIGN_OR_RETURN(UniqueFd fd, OpenEntry(folder, name, roots));
    if (fd && spec::IsModelFile(name)) files[name] = std::move(fd);
    if (files.size() > kFilesMax) {
      return Fail(ErrorCode::kTooLarge, "a model's folder with more than 500 files",
                  folder.real.string());
    }
  }
  return files;
}

// base/ in an adapter's folder, else the folder that its configuration names.
Result<Opened> OpenBase(const Opened& adapter, const OpenFiles& files, Roots roots) {
  constexpr int kFolder = O_RDONLY | O_DIRECTORY;
  const fs::path beside = adapter.real / "base";
  std::error_code absent;
  if (fs::is_directory(beside, absent)) return OpenBelowRoots(beside, roots, kFolder);
  const int config = files.at(spec::kAdapterConfigName).get();
  TUTTI_ASSIGN_OR_RETURN(const std::string text,
                         ReadFile(ProcPath(config), spec::kAdapterConfigMax));
  const fs::path where = adapter.real / spec::kAdapterConfigName;
  TUTTI_ASSIGN_OR_RETURN(const std::string name, spec::BaseNamed(text, where.string()));
  const std::string what = "the adapter's base '" + name + "'";
  if (name.empty() || name.starts_with("ft:")) {
    return Fail(ErrorCode::kInvalid, what + " is no folder that this worker can read",
                where.string(), "link or copy the base's folder to " + beside.string());
  }
  auto base = OpenBelowRoots(adapter.real / name, roots, kFolder);
  if (base) return base;
  Error error = base.error();
  error.message = what + ": " + error.message;
  error.code = ErrorCode::kInvalid;
  return Fail(std::move(error));
}

std::vector<std::string> NamesOf(const OpenFiles& files) {
  std::vector<std::string> names;
  for (const auto& [name, fd] : files) names.push_back(name);
  return names;
}

}  // namespace

Status PinnedFiles::Pin(UniqueFd file, const fs::path& link) {
  TUTTI_RETURN_IF_ERROR(MakeDirectories(link.parent_path()));
  ::unlink(link.c_str());  // an earlier one's
  if (::symlink(ProcPath(file.get()).c_str(), link.c_str()) != 0) {
    return Fail(ErrnoError("cannot link", link.string(), errno));
  }
  files_.push_back(std::move(file));
  return {};
}

Result<fs::path> PinData(const fs::path& path, const PinOptions& options) {
  TUTTI_ASSIGN_OR_RETURN(Opened data, OpenBelowRoots(path, options.data_roots, kRead));
  TUTTI_ASSIGN_OR_RETURN(const bool file, IsFile(data.fd, path));
  if (!file) return Fail(ErrorCode::kInvalid, "the data is no file", path.string());
  fs::path link = options.folder / path.filename();
  TUTTI_RETURN_IF_ERROR(options.files.Pin(std::move(data.fd), link));
  return link;
}

Result<fs::path> PinModel(const fs::path& path, const PinOptions& options) {
  constexpr int kFolder = O_RDONLY | O_DIRECTORY;
  TUTTI_ASSIGN_OR_RETURN(const Opened folder, OpenBelowRoots(path, options.data_roots, kFolder));
  TUTTI_ASSIGN_OR_RETURN(OpenFiles files, OpenModelFiles(folder, options.data_roots));
  TUTTI_RETURN_IF_ERROR(MakeDirectories(options.folder));
  if (!files.contains(spec::kAdapterConfigName)) {
    for (auto& [name, fd] : files) {
      TUTTI_RETURN_IF_ERROR(options.files.Pin(std::move(fd), options.folder / name));
    }
    return options.folder;
  }
  TUTTI_ASSIGN_OR_RETURN(const Opened base, OpenBase(folder, files, options.data_roots));
  TUTTI_ASSIGN_OR_RETURN(OpenFiles base_files, OpenModelFiles(base, options.data_roots));
  if (base_files.contains(spec::kAdapterConfigName)) {
    return Fail(ErrorCode::kInvalid, "the adapter's base is an adapter itself", base.real.string(),
                "merge that one first (tutti model merge)");
  }
  for (const spec::PlacedFile& file : spec::PlaceAdapter(NamesOf(files), NamesOf(base_files))) {
    UniqueFd& fd = (file.of_base ? base_files : files).at(file.name);
    TUTTI_RETURN_IF_ERROR(options.files.Pin(std::move(fd), options.folder / file.place));
  }
  return options.folder;
}

std::optional<fs::path> PathOfFileUrl(std::string_view url) {
  constexpr std::string_view kScheme = "file://";
  if (!url.starts_with("file:///")) return std::nullopt;
  return fs::path(url.substr(kScheme.size()));
}

}  // namespace tutti::agent
