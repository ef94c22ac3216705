#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "common/file/file.h"
#include "worker/checkpoint/checkpoint.h"
#include "worker/checkpoint/manifest.h"

namespace tutti::checkpoint {
namespace {

constexpr std::size_t kKeptMin = 2;

Result<std::vector<Stem>> Stems(const fs::path& directory) {
  std::vector<Stem> stems;
  std::error_code error;
  fs::directory_iterator it(directory, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    if (auto stem = ParseStem(it->path().filename().string())) stems.push_back(std::move(*stem));
  }
  if (error == std::errc::no_such_file_or_directory) return stems;
  if (error) return Fail(ErrnoError("cannot list", directory.string(), error.value()));
  return stems;
}

fs::path PathOf(const fs::path& directory, const Stem& stem, std::string_view suffix) {
  return directory / (FormatStem(stem.step, stem.attempt) + std::string(suffix));
}

Status Remove(const fs::path& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return Fail(ErrnoError("cannot remove", path.string(), errno));
}

bool IsTemporary(const Stem& stem) {
  return stem.rest.starts_with(std::string(kDataSuffix) + ".tmp-") ||
         stem.rest.starts_with(std::string(kManifestSuffix) + ".tmp-");
}

}  // namespace

Result<std::vector<Found>> List(const fs::path& directory) {
  TUTTI_ASSIGN_OR_RETURN(const auto stems, Stems(directory));
  std::vector<Found> all;
  for (const Stem& stem : stems) {
    if (stem.rest != kManifestSuffix) continue;
    Result<Found> found = ReadManifest(PathOf(directory, stem, kManifestSuffix));
    std::error_code ignored;
    if (found.has_value() && fs::exists(found->path, ignored)) all.push_back(*std::move(found));
  }
  std::ranges::sort(all, [](const Found& a, const Found& b) {
    return std::pair(a.step, a.attempt) > std::pair(b.step, b.attempt);
  });
  return all;
}

Status Collect(const fs::path& directory, std::size_t keep, std::int64_t keep_step,
               std::uint32_t attempt) {
  TUTTI_ASSIGN_OR_RETURN(const auto found, List(directory));
  std::vector<fs::path> manifests;
  std::vector<fs::path> files;
  for (std::size_t i = std::max(keep, kKeptMin); i < found.size(); ++i) {
    if (found[i].step == keep_step) continue;
    const Stem stem{.step = found[i].step, .attempt = found[i].attempt, .rest = {}};
    manifests.push_back(PathOf(directory, stem, kManifestSuffix));
    files.push_back(found[i].path);
  }
  TUTTI_ASSIGN_OR_RETURN(const auto stems, Stems(directory));
  for (const Stem& stem : stems) {
    if (stem.attempt >= attempt) continue;
    std::error_code ignored;
    const bool orphan =
        stem.rest == kDataSuffix && !fs::exists(PathOf(directory, stem, kManifestSuffix), ignored);
    if (orphan || IsTemporary(stem)) files.push_back(PathOf(directory, stem, stem.rest));
  }
  // Manifests first, durably: none may ever stand without its file.
  for (const fs::path& path : manifests) TUTTI_RETURN_IF_ERROR(Remove(path));
  if (!manifests.empty()) TUTTI_RETURN_IF_ERROR(SyncDirectory(directory));
  for (const fs::path& path : files) TUTTI_RETURN_IF_ERROR(Remove(path));
  return {};
}

}  // namespace tutti::checkpoint
