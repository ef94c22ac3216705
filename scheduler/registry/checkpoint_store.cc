#include "scheduler/registry/checkpoint_store.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <system_error>
#include <vector>

namespace tutti::registry {
namespace {

constexpr std::string_view kFolderId = "folder.id";
constexpr std::size_t kIdBytes = 16;
constexpr ::mode_t kFileMode = 0644;

Result<std::string> NewId() {
  std::array<unsigned char, kIdBytes> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return Fail(ErrnoError("no random bytes", "getrandom", errno));
  }
  std::string text;
  for (const unsigned char byte : bytes) {
    std::array<char, 3> hex{};
    std::snprintf(hex.data(), hex.size(), "%02x", byte);
    text += hex.data();
  }
  return text;
}

bool IsId(std::string_view text) {
  return text.size() == 2 * kIdBytes &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Takes a number off the front of `text`.
template <typename Number>
bool TakeNumber(std::string_view& text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end == text.data()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

bool TakeWord(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

Status Remove(const fs::path& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return Fail(ErrnoError("cannot remove", path.string(), errno));
}

}  // namespace

std::string CheckpointName::ToString() const {
  std::array<char, 64> stem{};
  std::snprintf(stem.data(), stem.size(), "step-%08llu.a%u", static_cast<unsigned long long>(step),
                Number(attempt));
  return std::string(stem.data()) + (manifest ? ".json" : ".h5");
}

std::optional<CheckpointName> CheckpointName::Parse(std::string_view text) {
  CheckpointName name;
  std::uint32_t attempt = 0;
  std::string_view rest = text;
  if (!TakeWord(rest, "step-") || !TakeNumber(rest, name.step) || !TakeWord(rest, ".a") ||
      !TakeNumber(rest, attempt)) {
    return std::nullopt;
  }
  name.attempt = Attempt{attempt};
  name.manifest = rest == ".json";
  if (name.ToString() != text) return std::nullopt;
  return name;
}

Result<CheckpointStore> CheckpointStore::Open(const fs::path& jobs_dir) {
  TUTTI_RETURN_IF_ERROR(MakeDirectories(jobs_dir));
  const fs::path path = jobs_dir / kFolderId;
  Result<std::string> id = ReadFile(path, Bytes{4096});
  if (id) {
    while (!id->empty() && id->back() == '\n') id->pop_back();
    if (IsId(*id)) return CheckpointStore(jobs_dir, std::move(*id));
  } else if (id.error().code != ErrorCode::kNotFound) {
    return Fail(std::move(id).error());
  }
  TUTTI_ASSIGN_OR_RETURN(std::string made, NewId());
  TUTTI_RETURN_IF_ERROR(WriteFileAtomically(path, made + "\n"));
  return CheckpointStore(jobs_dir, std::move(made));
}

fs::path CheckpointStore::PathOf(JobId job, const CheckpointName& name) const {
  return FolderOf(job) / name.ToString();
}

Result<Bytes> CheckpointStore::Size(JobId job, const CheckpointName& name) const {
  struct stat stat {};
  const fs::path path = PathOf(job, name);
  if (::lstat(path.c_str(), &stat) != 0) {
    if (errno != ENOENT) return Fail(ErrnoError("cannot stat", path.string(), errno));
    return Fail(ErrorCode::kNotFound, "there is no such checkpoint", name.ToString());
  }
  if (!S_ISREG(stat.st_mode)) return Fail(ErrorCode::kIo, "not a file", path.string());
  return Bytes{stat.st_size};
}

Result<UniqueFd> CheckpointStore::OpenFile(JobId job, const CheckpointName& name) const {
  const fs::path path = PathOf(job, name);
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (fd) return fd;
  if (errno != ENOENT) return Fail(ErrnoError("cannot open", path.string(), errno));
  return Fail(ErrorCode::kNotFound, "there is no such checkpoint", name.ToString());
}

Status CheckpointStore::Sync(const fs::path& upload) {
  const UniqueFd fd(::open(upload.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return Fail(ErrnoError("cannot open the upload", upload.string(), errno));
  if (::fchmod(fd.get(), kFileMode) != 0 || ::fsync(fd.get()) != 0) {
    return Fail(ErrnoError("cannot sync the upload", upload.string(), errno));
  }
  return {};
}

Status CheckpointStore::Place(const fs::path& upload, JobId job, const CheckpointName& name) const {
  const fs::path folder = FolderOf(job);
  if (name.manifest) {
    TUTTI_RETURN_IF_ERROR(Size(job, {.step = name.step, .attempt = name.attempt}));
  }
  TUTTI_RETURN_IF_ERROR(MakeDirectories(folder));
  const fs::path path = PathOf(job, name);
  if (::rename(upload.c_str(), path.c_str()) != 0) {
    return Fail(ErrnoError("cannot rename into place", path.string(), errno));
  }
  return SyncDirectory(folder);
}

Status CheckpointStore::Collect(JobId job, const CheckpointName& newest,
                                const std::set<std::pair<std::uint64_t, Attempt>>& kept) const {
  const fs::path folder = FolderOf(job);
  std::vector<fs::path> manifests;
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const auto name = CheckpointName::Parse(entry->path().filename().string());
    if (!name || kept.contains({name->step, name->attempt})) continue;
    const bool older = name->attempt < newest.attempt ||
                       (name->attempt == newest.attempt && name->step < newest.step);
    if (older) (name->manifest ? manifests : files).push_back(entry->path());
  }
  if (error) return Fail(ErrnoError("cannot list", folder.string(), error.value()));
  for (const fs::path& path : manifests) TUTTI_RETURN_IF_ERROR(Remove(path));
  if (!manifests.empty()) TUTTI_RETURN_IF_ERROR(SyncDirectory(folder));
  for (const fs::path& path : files) TUTTI_RETURN_IF_ERROR(Remove(path));
  return {};
}

}  // namespace tutti::registry
