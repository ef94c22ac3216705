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

std::int64_t SizeOf(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : static_cast<std::int64_t>(size);
}

bool IsTemporary(const Stem& stem) {
  return stem.rest.starts_with(std::string(kDataSuffix) + ".tmp-") ||
         stem.rest.starts_with(std::string(kManifestSuffix) + ".tmp-");
}

}  // namespace

Result<std::vector<Manifested>> ListManifests(const fs::path& directory) {
  TUTTI_ASSIGN_OR_RETURN(const auto stems, Stems(directory));
  std::vector<Manifested> all;
  for (const Stem& stem : stems) {
    if (stem.rest != kManifestSuffix) continue;
    const fs::path manifest = PathOf(directory, stem, kManifestSuffix);
    Result<Found> found = ReadManifest(manifest);
    std::error_code ignored;
    if (found && !fs::exists(found->path, ignored)) {
      found =
          Fail(ErrorCode::kNotFound, "the file of the checkpoint is gone", found->path.string());
    }
    all.push_back({stem.step, stem.attempt, manifest, std::move(found)});
  }
  std::ranges::sort(all, [](const Manifested& a, const Manifested& b) {
    return std::pair(a.step, a.attempt) > std::pair(b.step, b.attempt);
  });
  return all;
}

Result<std::vector<Found>> List(const fs::path& directory) {
  TUTTI_ASSIGN_OR_RETURN(auto manifests, ListManifests(directory));
  std::vector<Found> all;
  for (Manifested& each : manifests) {
    if (each.found) all.push_back(*std::move(each.found));
  }
  return all;
}

Result<Pruned> Prune(const fs::path& directory, const PruneOptions& options) {
  TUTTI_ASSIGN_OR_RETURN(auto found, List(directory));
  Pruned out;
  std::vector<fs::path> manifests;
  std::vector<fs::path> files;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (i < options.keep || std::ranges::count(options.keep_steps, found[i].step) > 0) {
      out.kept.push_back(std::move(found[i]));
      continue;
    }
    const Stem stem{.step = found[i].step, .attempt = found[i].attempt, .rest = {}};
    manifests.push_back(PathOf(directory, stem, kManifestSuffix));
    files.push_back(found[i].path);
    out.removed.push_back(std::move(found[i]));
  }
  TUTTI_ASSIGN_OR_RETURN(const auto stems, Stems(directory));
  for (const Stem& stem : stems) {
    if (stem.attempt >= options.attempt) continue;
    std::error_code ignored;
    const bool orphan =
        stem.rest == kDataSuffix && !fs::exists(PathOf(directory, stem, kManifestSuffix), ignored);
    if (orphan || IsTemporary(stem)) out.leftovers.push_back(PathOf(directory, stem, stem.rest));
  }
  files.insert(files.end(), out.leftovers.begin(), out.leftovers.end());
  for (const auto* list : {&manifests, &files}) {
    for (const fs::path& path : *list) out.freed.count += SizeOf(path);
  }
  if (options.dry_run) return out;
  // Manifests first, durably: none may ever stand without its file.
  for (const fs::path& path : manifests) TUTTI_RETURN_IF_ERROR(Remove(path));
  if (!manifests.empty()) TUTTI_RETURN_IF_ERROR(SyncDirectory(directory));
  for (const fs::path& path : files) TUTTI_RETURN_IF_ERROR(Remove(path));
  return out;
}

Status Collect(const fs::path& directory, std::size_t keep, std::int64_t keep_step,
               std::uint32_t attempt) {
  TUTTI_RETURN_IF_ERROR(
      Prune(directory,
            {.keep = std::max(keep, kKeptMin), .keep_steps = {keep_step}, .attempt = attempt}));
  return {};
}

}  // namespace tutti::checkpoint
