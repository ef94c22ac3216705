#include "worker/safetensors/writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "common/file/file.h"
#include "worker/safetensors/header.h"

namespace tutti::safetensors {
namespace {

// Hashes and writes in pieces that stay in the cache.
constexpr std::size_t kPieceBytes = std::size_t{1} << 18;

// Removes the temp file unless it was renamed.
class TempFile {
 public:
  explicit TempFile(std::filesystem::path path) : path_(std::move(path)) {}
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  ~TempFile() {
    if (!kept_) unlink(path_.c_str());
  }
  const std::filesystem::path& path() const { return path_; }
  void Keep() { kept_ = true; }

 private:
  std::filesystem::path path_;
  bool kept_ = false;
};

class HashingSink {
 public:
  HashingSink(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  Status Put(std::span<const std::byte> data) {
    for (std::size_t at = 0; at < data.size(); at += kPieceBytes) {
      const auto piece = data.subspan(at, std::min(kPieceBytes, data.size() - at));
      hash_.Update(piece);
      TUTTI_RETURN_IF_ERROR(WriteAll(fd_, piece, path_));
      size_ += static_cast<std::int64_t>(piece.size());
    }
    return {};
  }
  Written Finish() { return {.digest = hash_.Finish(), .size = Bytes{size_}}; }

 private:
  int fd_;
  std::string path_;
  Sha256 hash_;
  std::int64_t size_ = 0;
};

Result<Header> Lay(std::vector<TensorToWrite>& tensors, const WriteOptions& options) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorToWrite& a, const TensorToWrite& b) {
    if (SizeOf(a.dtype) != SizeOf(b.dtype)) return SizeOf(a.dtype) > SizeOf(b.dtype);
    return a.name < b.name;
  });
  Header header{.metadata = options.metadata, .tensors = {}};
  header.tensors.reserve(tensors.size());
  std::vector<std::string> names;
  std::size_t at = 0;
  for (const TensorToWrite& t : tensors) {
    const Result<std::size_t> bytes = TensorBytes(t.dtype, t.shape);
    if (!bytes.has_value() || *bytes != t.data.size()) {
      return Fail(ErrorCode::kInvalid, "tensor " + t.name + " has " +
                                           std::to_string(t.data.size()) +
                                           " bytes, not those of its shape");
    }
    header.tensors.push_back(TensorEntry{
        .name = t.name, .dtype = t.dtype, .shape = t.shape, .from = at, .to = at + *bytes});
    at += *bytes;
    names.push_back(t.name);
  }
  std::sort(names.begin(), names.end());
  if (const auto it = std::adjacent_find(names.begin(), names.end()); it != names.end()) {
    return Fail(ErrorCode::kInvalid, "tensor " + *it + " twice");
  }
  return header;
}

}  // namespace

Result<Written> Write(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                      const WriteOptions& options) {
  TUTTI_ASSIGN_OR_RETURN(const Header header, Lay(tensors, options));
  const std::string json = FormatHeader(header);
  TempFile temp(path.string() + ".tmp." + std::to_string(getpid()));
  UniqueFd fd(open(temp.path().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return Fail(ErrnoError("cannot create", temp.path().string(), errno));

  HashingSink sink(fd.get(), temp.path().string());
  std::array<std::byte, 8> prefix{};
  for (std::size_t i = 0; i < prefix.size(); ++i) {
    prefix[i] = static_cast<std::byte>((std::uint64_t{json.size()} >> (8 * i)) & 0xff);
  }
  TUTTI_RETURN_IF_ERROR(sink.Put(prefix));
  TUTTI_RETURN_IF_ERROR(sink.Put(std::as_bytes(std::span(json))));
  for (const TensorToWrite& t : tensors) TUTTI_RETURN_IF_ERROR(sink.Put(t.data));
  if (options.durable && fdatasync(fd.get()) != 0) {
    return Fail(ErrnoError("cannot sync", temp.path().string(), errno));
  }
  fd.Reset();
  if (rename(temp.path().c_str(), path.c_str()) != 0) {
    return Fail(ErrnoError("cannot rename to", path.string(), errno));
  }
  temp.Keep();
  if (options.durable) {
    const std::filesystem::path folder = path.parent_path();
    TUTTI_RETURN_IF_ERROR(SyncDirectory(folder.empty() ? "." : folder));
  }
  return sink.Finish();
}

}  // namespace tutti::safetensors
