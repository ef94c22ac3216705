// Data and models that are read where they lie, below the folders that --data-root names. What was
// looked at is held open, and the engine reads it through links to the open files: nobody who
// swaps a folder or a link meanwhile has another file read. Free functions, and a value of the one
// who runs the engine; for threads off the loop.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/file/file.h"

namespace tutti::agent {

// Files held open for this process's children.
class PinnedFiles {
 public:
  // Makes `link`, and its folder, lead to the open file for as long as this lives.
  Status Pin(UniqueFd file, const std::filesystem::path& link);

 private:
  std::vector<UniqueFd> files_;
};

struct PinOptions {
  std::span<const std::filesystem::path> data_roots;
  std::filesystem::path folder;  // gets the links
  PinnedFiles& files;
};
// A data file's link. kInvalid: it lies below no root, or is no file.
Result<std::filesystem::path> PinData(const std::filesystem::path& path, const PinOptions& options);

// The folder, with links to the files of a model's folder, or of an adapter's with its base below
// "base". Links in it, as a Hugging Face cache has, and the base must lie below a root, too.
// kInvalid says what does not; an adapter's base: what it is called.
Result<std::filesystem::path> PinModel(const std::filesystem::path& path,
                                       const PinOptions& options);

// "file:///a/b" -> "/a/b", as it is written; nullopt for anything else.
std::optional<std::filesystem::path> PathOfFileUrl(std::string_view url);

}  // namespace tutti::agent
