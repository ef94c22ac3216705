// Checkpoints: the training state of one step in one HDF5 file, and the manifest that makes it
// exist. docs/formats/checkpoint.md has the layout. Free functions; one thread at a time a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/units.h"
#include "common/digest/sha256.h"

namespace tutti::checkpoint {

namespace fs = std::filesystem;

inline constexpr int kFormatVersion = 1;

// Where a parameter lies in the flat buffers.
struct TensorPlace {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t offset = 0;  // floats
  std::int64_t count = 0;
};

// Where training stands: enough to go on as if nothing had happened.
struct Cursor {
  std::int64_t step = 0;   // completed
  std::int64_t epoch = 0;  // of the next step's first row
  std::int64_t batch_in_epoch = 0;
  std::int64_t tokens_total = 0;
  std::int64_t rows_total = 0;
  std::int64_t best_step = -1;  // -1: none yet
  double best_metric = 0;
  std::int64_t evals_without_gain = 0;  // for early stopping
};

// What is written; buffers are [total] floats of the layout and borrowed.
struct Content {
  std::uint32_t attempt = 0;
  Cursor cursor;
  std::string spec_digest;  // of the resolved spec: another spec's checkpoint is refused
  std::span<const TensorPlace> tensors;
  std::span<const float> parameters;
  std::span<const float> first_moments;
  std::span<const float> second_moments;
  std::map<std::string, double> metrics;  // of the last evaluation
};

struct Committed {
  std::int64_t step = 0;
  fs::path path;             // of the .h5 file
  std::string state_digest;  // "sha256:…" over tensors by name and cursor
  Bytes size;
};

// Temp file → fdatasync → rename → fsync of the folder → manifest likewise; makes the folder.
// kDiskFull, kIo: then nothing new exists. kInvalid: a value is NaN or infinite.
Result<Committed> Write(const fs::path& directory, const Content& content);

struct Found {
  std::int64_t step = 0;
  std::uint32_t attempt = 0;
  fs::path path;
  std::string state_digest;
  std::string file_sha256;
  std::string spec_digest;
  Bytes size;
  Cursor cursor;
  std::map<std::string, double> metrics;
};

// By their manifests, newest step first (of one step, the newest attempt first). Manifests that do
// not read are left out. No folder: no checkpoints.
Result<std::vector<Found>> List(const fs::path& directory);

// Every manifest of the folder, in List's order: those too that do not read, or whose file is gone,
// with what is wrong.
struct Manifested {
  std::int64_t step = 0;
  std::uint32_t attempt = 0;
  fs::path manifest;
  Result<Found> found;
};
Result<std::vector<Manifested>> ListManifests(const fs::path& directory);

// Reads `found` into the buffers after its file's digest matched its manifest; then state_digest is
// checked too. kInvalid with what differs: nothing of the buffers is to be used then.
struct Target {
  std::span<const TensorPlace> tensors;
  std::span<float> parameters;
  std::span<float> first_moments;   // empty: not wanted
  std::span<float> second_moments;  // empty: not wanted
  std::string spec_digest{};        // the checkpoint must be of this spec; empty: of any
};
Status Read(const Found& found, const Target& target);
// The same without a target: digests and structure.
Status Verify(const Found& found);

struct PruneOptions {
  std::size_t keep = 2;                    // the newest so many stay
  std::vector<std::int64_t> keep_steps{};  // and these, of any attempt
  // What writers of attempts before it left goes too: temporary files, and data without a manifest.
  std::uint32_t attempt = 0;
  bool dry_run = false;  // remove nothing
};
struct Pruned {
  std::vector<Found> kept;
  std::vector<Found> removed;
  std::vector<fs::path> leftovers;  // of dead writers, removed
  Bytes freed;
};
// Removes what the options do not keep; what went, or would have gone.
Result<Pruned> Prune(const fs::path& directory, const PruneOptions& options);

// Prune of what is beyond the newest `keep` (at least 2) and the step `keep_step`.
Status Collect(const fs::path& directory, std::size_t keep, std::int64_t keep_step,
               std::uint32_t attempt);

}  // namespace tutti::checkpoint
