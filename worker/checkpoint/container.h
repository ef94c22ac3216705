// The HDF5 side of a checkpoint: a file's metadata made in memory, and read from a file whose
// digest is known to be right. The tensors' bytes are not HDF5's business: they lie contiguously at
// offsets that it hands out. Free functions; HDF5 serialises calls of several threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/checkpoint/checkpoint.h"

namespace tutti::checkpoint {

enum class Kind { kParameters, kFirstMoments, kSecondMoments };
inline constexpr std::array kKinds = {Kind::kParameters, Kind::kFirstMoments, Kind::kSecondMoments};
// "params", "optimizer/first_moments", "optimizer/second_moments".
std::string_view GroupOf(Kind kind);

// The cursor's whole numbers by their names in files, in the order of the state's digest.
struct CursorField {
  const char* name;
  std::int64_t Cursor::*member;
};
inline constexpr std::array kCursorFields = {
    CursorField{"step", &Cursor::step},
    CursorField{"epoch", &Cursor::epoch},
    CursorField{"batch_in_epoch", &Cursor::batch_in_epoch},
    CursorField{"tokens_total", &Cursor::tokens_total},
    CursorField{"rows_total", &Cursor::rows_total},
    CursorField{"best_step", &Cursor::best_step},
    CursorField{"evals_without_gain", &Cursor::evals_without_gain},
};
inline constexpr const char* kBestMetric = "best_metric";

struct Head {
  std::uint32_t attempt = 0;
  Cursor cursor;
  std::string spec_digest;
  std::map<std::string, double> metrics;
};

// One dataset: float32, little-endian, row-major.
struct Extent {
  Kind kind = Kind::kParameters;
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t from = 0;   // byte in the file; 0 when there are no bytes
  std::int64_t bytes = 0;  // 4 × elements
};

// A file without its tensors: bytes outside the extents are those of `metadata`, zeros behind it.
struct Skeleton {
  std::vector<std::byte> metadata;
  std::vector<Extent> extents;  // by kind, then as given; ascending in the file, not overlapping
  std::int64_t size = 0;        // bytes of the file
};

// Touches no file: HDF5 crashes a process whose disk fills up while it writes. The same arguments
// give the same bytes. `tensors`: names are unique and fit for HDF5.
Result<Skeleton> MakeSkeleton(const Head& head, std::span<const TensorPlace* const> tensors);

struct Container {
  Head head;
  std::vector<Extent> extents;  // by kind, then by name
};

// Every extent lies within the file. kInvalid says what is not as docs/formats/checkpoint.md has
// it. REQUIRES: the file's digest was checked.
Result<Container> ReadContainer(const std::filesystem::path& path);

}  // namespace tutti::checkpoint
