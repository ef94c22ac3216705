#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/digest/sha256.h"
#include "common/file/file.h"
#include "worker/checkpoint/container.h"
#include "worker/checkpoint/state_hash.h"

namespace tutti::checkpoint {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 18;

Status ReadAt(int fd, std::int64_t from, std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t count = ::pread(fd, out.data(), out.size(), from);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Fail(ErrnoError("cannot read", "", errno));
    if (count == 0) return Fail(ErrorCode::kInvalid, "the file ends early");
    out = out.subspan(static_cast<std::size_t>(count));
    from += count;
  }
  return {};
}

// The bytes on disk are those the manifest was written for.
Status CheckFile(int fd, const Found& found) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return Fail(ErrnoError("cannot stat", "", errno));
  if (status.st_size != found.size.count) {
    return Fail(ErrorCode::kInvalid, "the file has " + std::to_string(status.st_size) +
                                         " bytes, its manifest says " +
                                         std::to_string(found.size.count));
  }
  Sha256 hash;
  std::vector<std::byte> block(kPieceBytes);
  for (std::int64_t at = 0; at < found.size.count;) {
    const auto piece = std::span(block).first(
        std::min(block.size(), static_cast<std::size_t>(found.size.count - at)));
    TUTTI_RETURN_IF_ERROR(ReadAt(fd, at, piece));
    hash.Update(piece);
    at += static_cast<std::int64_t>(piece.size());
  }
  if (hash.Finish().ToString() == found.file_sha256) return {};
  return Fail(ErrorCode::kInvalid, "the file's bytes are not those its manifest was written for");
}

Status CheckHead(const Head& head, const Found& found) {
  const auto differs = [](const char* what) {
    return Fail(ErrorCode::kInvalid, std::string(what) + " differs between file and manifest");
  };
  if (head.attempt != found.attempt) return differs("attempt");
  if (head.spec_digest != found.spec_digest) return differs("spec_digest");
  if (head.metrics != found.metrics) return differs("metrics");
  for (const CursorField& field : kCursorFields) {
    if (head.cursor.*field.member != found.cursor.*field.member) return differs(field.name);
  }
  if (head.cursor.best_metric != found.cursor.best_metric) return differs(kBestMetric);
  return {};
}

std::string Shape(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (const std::int64_t dimension : shape) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(dimension);
  }
  return text + "]";
}

// The file has the target's tensors in each of its groups, and no others.
Status CheckTensors(const std::vector<Extent>& extents,
                    std::span<const TensorPlace* const> wanted) {
  for (std::size_t kind = 0; kind < kKinds.size(); ++kind) {
    std::size_t i = 0;
    for (const Extent& extent : extents) {
      if (extent.kind != kKinds[kind]) continue;
      if (i == wanted.size() || extent.name < wanted[i]->name) {
        return Fail(ErrorCode::kInvalid, "tensor " + extent.name + " is not of this model");
      }
      if (extent.name > wanted[i]->name) break;
      if (extent.shape != wanted[i]->shape) {
        return Fail(ErrorCode::kInvalid, "tensor " + extent.name + " has shape " +
                                             Shape(extent.shape) + ", the model's is " +
                                             Shape(wanted[i]->shape));
      }
      ++i;
    }
    if (i < wanted.size()) {
      return Fail(ErrorCode::kInvalid,
                  "no tensor " + wanted[i]->name + " in /" + std::string(GroupOf(kKinds[kind])));
    }
  }
  return {};
}

Result<std::vector<const TensorPlace*>> Sorted(const Target& target) {
  const std::size_t total = target.parameters.size();
  for (const auto& moments : {target.first_moments, target.second_moments}) {
    if (!moments.empty() && moments.size() != total) {
      return Fail(ErrorCode::kInvalid, "moments and parameters differ in size");
    }
  }
  std::vector<const TensorPlace*> tensors;
  for (const TensorPlace& tensor : target.tensors) {
    if (tensor.offset < 0 || tensor.count < 0 ||
        tensor.count > static_cast<std::int64_t>(total) - tensor.offset) {
      return Fail(ErrorCode::kInvalid, "tensor '" + tensor.name + "' has no place in the buffers");
    }
    tensors.push_back(&tensor);
  }
  std::ranges::sort(tensors, {}, &TensorPlace::name);
  return tensors;
}

std::span<float> BufferOf(const Target& target, Kind kind) {
  switch (kind) {
    case Kind::kParameters:
      return target.parameters;
    case Kind::kFirstMoments:
      return target.first_moments;
    case Kind::kSecondMoments:
      return target.second_moments;
  }
  return {};
}

// Hashes the tensor and puts it into `out`, unless that is empty.
Status TakeTensor(int fd, const Extent& extent, std::span<std::byte> out, StateHash& hash) {
  hash.Tensor(extent.kind, extent.name, extent.shape);
  std::vector<std::byte> block(out.empty() ? kPieceBytes : 0);
  const auto size = static_cast<std::size_t>(extent.bytes);
  for (std::size_t at = 0; at < size; at += kPieceBytes) {
    const std::size_t count = std::min(kPieceBytes, size - at);
    const auto piece = out.empty() ? std::span(block).first(count) : out.subspan(at, count);
    TUTTI_RETURN_IF_ERROR(ReadAt(fd, extent.from + static_cast<std::int64_t>(at), piece));
    hash.Data(piece);
  }
  return {};
}

Status TakeState(int fd, const Container& container, const Found& found, const Target* target,
                 std::span<const TensorPlace* const> wanted) {
  StateHash hash;
  std::size_t i = 0;
  for (const Extent& extent : container.extents) {
    std::span<std::byte> out;
    if (target != nullptr) {
      const TensorPlace& place = *wanted[i++ % wanted.size()];
      const auto buffer = BufferOf(*target, extent.kind);
      if (!buffer.empty()) {
        out = std::as_writable_bytes(buffer.subspan(static_cast<std::size_t>(place.offset),
                                                    static_cast<std::size_t>(place.count)));
      }
    }
    TUTTI_RETURN_IF_ERROR(TakeTensor(fd, extent, out, hash));
  }
  if (hash.Finish(container.head.cursor).ToString() == found.state_digest) return {};
  return Fail(ErrorCode::kInvalid, "the state is not the one its manifest was written for");
}

Status ReadAndCheck(const Found& found, const Target* target) {
  std::vector<const TensorPlace*> wanted;
  if (target != nullptr) {
    if (!target->spec_digest.empty() && target->spec_digest != found.spec_digest) {
      return Fail(ErrorCode::kInvalid, "the checkpoint is of another spec, " + found.spec_digest);
    }
    TUTTI_ASSIGN_OR_RETURN(wanted, Sorted(*target));
  }
  const UniqueFd fd(::open(found.path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Fail(ErrnoError("cannot open", found.path.string(), errno));
  TUTTI_RETURN_IF_ERROR(CheckFile(fd.get(), found));
  TUTTI_ASSIGN_OR_RETURN(const Container container, ReadContainer(found.path));
  TUTTI_RETURN_IF_ERROR(CheckHead(container.head, found));
  if (target != nullptr) TUTTI_RETURN_IF_ERROR(CheckTensors(container.extents, wanted));
  return TakeState(fd.get(), container, found, target, wanted);
}

Status NamingFile(Status status, const Found& found) {
  if (!status && status.error().where.empty()) status.error().where = found.path.string();
  return status;
}

}  // namespace

Status Read(const Found& found, const Target& target) {
  return NamingFile(ReadAndCheck(found, &target), found);
}

Status Verify(const Found& found) { return NamingFile(ReadAndCheck(found, nullptr), found); }

}  // namespace tutti::checkpoint
