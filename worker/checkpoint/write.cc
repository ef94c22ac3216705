#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <utility>

#include "common/base/units.h"
#include "common/digest/sha256.h"
#include "common/file/file.h"
#include "worker/checkpoint/container.h"
#include "worker/checkpoint/manifest.h"
#include "worker/checkpoint/state_hash.h"

namespace tutti::checkpoint {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are written as they lie");

// Checked, hashed twice and written while it lies in the cache.
constexpr std::size_t kPieceFloats = std::size_t{1} << 16;
constexpr std::size_t kNameBytesMax = 1'024;
constexpr std::size_t kMetricsMax = 256;
constexpr std::uint32_t kExponent = 0x7f80'0000;  // all ones: infinite or NaN

// Lanes are apart, so that the compiler may use vectors.
bool AllFinite(std::span<const float> values) {
  constexpr std::size_t kLanes = 16;
  std::array<std::uint32_t, kLanes> found{};
  const auto see = [&](std::size_t lane, float value) {
    const std::uint32_t exponent = std::bit_cast<std::uint32_t>(value) & kExponent;
    found[lane] |= static_cast<std::uint32_t>(exponent == kExponent);
  };
  std::size_t at = 0;
  for (; at + kLanes <= values.size(); at += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) see(lane, values[at + lane]);
  }
  for (; at < values.size(); ++at) see(0, values[at]);
  return std::ranges::all_of(found, [](std::uint32_t bad) { return bad == 0; });
}

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

// An attribute's: TRL's metrics are called "rewards/chosen".
bool IsMetricName(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax && name.find('\0') == std::string_view::npos;
}

std::string ElementName(const Extent& extent, std::int64_t element) {
  return std::string(GroupOf(extent.kind)) + "/" + extent.name + "[" + std::to_string(element) +
         "]";
}

Status CheckNumbers(const Content& content) {
  if (content.cursor.step < 0) return Fail(ErrorCode::kInvalid, "a checkpoint of a negative step");
  if (!std::isfinite(content.cursor.best_metric)) {
    return Fail(ErrorCode::kInvalid, "the best metric is not finite");
  }
  if (content.metrics.size() > kMetricsMax) return Fail(ErrorCode::kInvalid, "too many metrics");
  for (const auto& [name, value] : content.metrics) {
    if (!IsMetricName(name)) {
      return Fail(ErrorCode::kInvalid, "'" + name + "' is no name of a metric");
    }
    if (!std::isfinite(value)) {
      return Fail(ErrorCode::kInvalid, "metric " + name + " is not finite");
    }
  }
  return {};
}

// By ascending names, each checked.
Result<std::vector<const TensorPlace*>> Sorted(const Content& content) {
  const auto total = static_cast<std::int64_t>(content.parameters.size());
  if (content.first_moments.size() != content.parameters.size() ||
      content.second_moments.size() != content.parameters.size()) {
    return Fail(ErrorCode::kInvalid, "moments and parameters differ in size");
  }
  std::vector<const TensorPlace*> tensors;
  tensors.reserve(content.tensors.size());
  for (const TensorPlace& tensor : content.tensors) {
    std::int64_t elements = 1;
    for (const std::int64_t dimension : tensor.shape) {
      if (dimension < 0 || __builtin_mul_overflow(elements, dimension, &elements)) elements = -1;
      if (elements < 0) break;
    }
    if (!IsName(tensor.name) || elements != tensor.count || tensor.offset < 0 ||
        tensor.count > total - tensor.offset) {
      return Fail(ErrorCode::kInvalid,
                  "tensor '" + tensor.name + "' has no shape or place in the buffers");
    }
    tensors.push_back(&tensor);
  }
  std::ranges::sort(tensors, {}, &TensorPlace::name);
  const auto twice = std::ranges::adjacent_find(tensors, {}, &TensorPlace::name);
  if (twice != tensors.end())
    return Fail(ErrorCode::kInvalid, "tensor " + (*twice)->name + " twice");
  return tensors;
}

// Removes the file unless it was renamed into place.
class TempFile {
 public:
  explicit TempFile(fs::path path) : path_(std::move(path)) {}
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  ~TempFile() {
    if (!renamed_) ::unlink(path_.c_str());
  }
  const fs::path& path() const { return path_; }
  Status RenameTo(const fs::path& path) {
    if (::rename(path_.c_str(), path.c_str()) != 0) {
      return Fail(ErrnoError("cannot rename into place", path.string(), errno));
    }
    renamed_ = true;
    return {};
  }

 private:
  fs::path path_;
  bool renamed_ = false;
};

// Streams the file in one pass over the state.
class Stream {
 public:
  Stream(int fd, std::string path, const Skeleton& skeleton)
      : fd_(fd), path_(std::move(path)), skeleton_(skeleton) {}

  // Metadata up to byte `to`.
  Status PutMetadata(std::int64_t to) {
    const auto end = static_cast<std::size_t>(to);
    if (at_ < skeleton_.metadata.size()) {
      const std::size_t until = std::min(end, skeleton_.metadata.size());
      TUTTI_RETURN_IF_ERROR(Put(std::span(skeleton_.metadata).subspan(at_, until - at_)));
    }
    const std::vector<std::byte> zeros(end - at_);
    return Put(zeros);
  }

  Status PutTensor(const Extent& extent, std::span<const float> values) {
    if (extent.bytes > 0) TUTTI_RETURN_IF_ERROR(PutMetadata(extent.from));
    state_.Tensor(extent.kind, extent.name, extent.shape);
    for (std::size_t i = 0; i < values.size(); i += kPieceFloats) {
      const auto piece = values.subspan(i, std::min(kPieceFloats, values.size() - i));
      if (!AllFinite(piece)) return FailNotFinite(extent, values);
      const auto bytes = std::as_bytes(piece);
      state_.Data(bytes);
      TUTTI_RETURN_IF_ERROR(Put(bytes));
    }
    return {};
  }

  Digest FinishFile() { return file_.Finish(); }
  Digest FinishState(const Cursor& cursor) { return state_.Finish(cursor); }

 private:
  Status Put(std::span<const std::byte> bytes) {
    file_.Update(bytes);
    at_ += bytes.size();
    return WriteAll(fd_, bytes, path_);
  }

  static Status FailNotFinite(const Extent& extent, std::span<const float> values) {
    const auto bad = std::ranges::find_if(values, [](float x) { return !std::isfinite(x); });
    return Fail(ErrorCode::kInvalid, ElementName(extent, bad - values.begin()) + " is " +
                                         (std::isnan(*bad) ? "NaN" : "infinite"));
  }

  int fd_;
  std::string path_;
  const Skeleton& skeleton_;
  std::size_t at_ = 0;
  Sha256 file_;
  StateHash state_;
};

std::span<const float> BufferOf(const Content& content, Kind kind) {
  switch (kind) {
    case Kind::kParameters:
      return content.parameters;
    case Kind::kFirstMoments:
      return content.first_moments;
    case Kind::kSecondMoments:
      return content.second_moments;
  }
  return {};
}

// Fills found's digests and size.
Status WriteData(const fs::path& path, const Content& content, const Skeleton& skeleton,
                 std::span<const TensorPlace* const> tensors, Found& found) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return Fail(ErrnoError("cannot create", path.string(), errno));
  Stream stream(fd.get(), path.string(), skeleton);
  for (std::size_t i = 0; i < skeleton.extents.size(); ++i) {
    const Extent& extent = skeleton.extents[i];
    const TensorPlace& tensor = *tensors[i % tensors.size()];
    TUTTI_RETURN_IF_ERROR(
        stream.PutTensor(extent, BufferOf(content, extent.kind)
                                     .subspan(static_cast<std::size_t>(tensor.offset),
                                              static_cast<std::size_t>(tensor.count))));
  }
  TUTTI_RETURN_IF_ERROR(stream.PutMetadata(skeleton.size));
  if (::fdatasync(fd.get()) != 0) return Fail(ErrnoError("cannot sync", path.string(), errno));
  found.file_sha256 = stream.FinishFile().ToString();
  found.state_digest = stream.FinishState(content.cursor).ToString();
  found.size = Bytes{skeleton.size};
  return {};
}

}  // namespace

Result<Committed> Write(const fs::path& directory, const Content& content) {
  TUTTI_RETURN_IF_ERROR(CheckNumbers(content));
  TUTTI_ASSIGN_OR_RETURN(const auto tensors, Sorted(content));
  TUTTI_ASSIGN_OR_RETURN(const Skeleton skeleton, MakeSkeleton({.attempt = content.attempt,
                                                                .cursor = content.cursor,
                                                                .spec_digest = content.spec_digest,
                                                                .metrics = content.metrics},
                                                               tensors));
  TUTTI_RETURN_IF_ERROR(MakeDirectories(directory));
  const fs::path stem = directory / FormatStem(content.cursor.step, content.attempt);
  const fs::path manifest = fs::path(stem) += kManifestSuffix;
  Found found{.step = content.cursor.step,
              .attempt = content.attempt,
              .path = fs::path(stem) += kDataSuffix,
              .state_digest = {},
              .file_sha256 = {},
              .spec_digest = content.spec_digest,
              .size = {},
              .cursor = content.cursor,
              .metrics = content.metrics};
  TempFile temporary(fs::path(found.path) += ".tmp-" + std::to_string(::getpid()));
  TUTTI_RETURN_IF_ERROR(WriteData(temporary.path(), content, skeleton, tensors, found));
  // One of this name goes first: its manifest must never stand beside another file.
  if (::unlink(manifest.c_str()) == 0) TUTTI_RETURN_IF_ERROR(SyncDirectory(directory));
  TUTTI_RETURN_IF_ERROR(temporary.RenameTo(found.path));
  Status committed = SyncDirectory(directory);
  if (committed) committed = WriteFileAtomically(manifest, FormatManifest(found));
  if (!committed) {
    ::unlink(manifest.c_str());
    ::unlink(found.path.c_str());
    return Fail(std::move(committed).error());
  }
  return Committed{.step = found.step,
                   .path = found.path,
                   .state_digest = found.state_digest,
                   .size = found.size};
}

}  // namespace tutti::checkpoint
