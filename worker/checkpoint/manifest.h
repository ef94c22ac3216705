// Names of a checkpoint's two files, and the manifest: the JSON file that makes a checkpoint exist.
// Free functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "worker/checkpoint/checkpoint.h"

namespace tutti::checkpoint {

inline constexpr std::string_view kDataSuffix = ".h5";
inline constexpr std::string_view kManifestSuffix = ".json";

struct Stem {
  std::int64_t step = 0;
  std::uint32_t attempt = 0;
  std::string rest;  // ".h5", ".json", ".h5.tmp-…"
};
// "step-00000200.a1"
std::string FormatStem(std::int64_t step, std::uint32_t attempt);
// Nothing for what FormatStem does not begin.
std::optional<Stem> ParseStem(std::string_view file_name);

// `found.path` gives the file's name.
std::string FormatManifest(const Found& found);
// The manifest at `path`: every field there and of its type, and those of its name. kInvalid says
// which is not.
Result<Found> ReadManifest(const std::filesystem::path& path);
// The same for the text of a file that would lie at `path`.
Result<Found> ParseManifest(std::string_view text, const std::filesystem::path& path);

}  // namespace tutti::checkpoint
