#include "worker/safetensors/reader.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/file/file.h"

namespace tutti::safetensors {
namespace {

constexpr std::size_t kPrefixBytes = 8;  // the header's size, little-endian

std::size_t HeaderSize(std::span<const std::byte> file) {
  std::uint64_t size = 0;
  for (std::size_t i = 0; i < kPrefixBytes; ++i) {
    size |= std::uint64_t{std::to_integer<std::uint8_t>(file[i])} << (8 * i);
  }
  return size;
}

}  // namespace

class File::Mapping {
 public:
  Mapping(void* address, std::size_t size) : address_(address), size_(size) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { munmap(address_, size_); }

  std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(address_), size_};
  }

 private:
  void* address_;
  std::size_t size_;
};

File::File(std::filesystem::path path, std::shared_ptr<const Mapping> mapping, Header header,
           std::size_t data_start)
    : path_(std::move(path)),
      mapping_(std::move(mapping)),
      header_(std::make_shared<const Header>(std::move(header))),
      data_start_(data_start) {}

Result<File> File::Open(const std::filesystem::path& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Fail(ErrnoError("cannot open", path.string(), errno));
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) return Fail(ErrnoError("cannot stat", path.string(), errno));
  if (!S_ISREG(status.st_mode))
    return Fail(ErrorCode::kInvalid, "not a regular file", path.string());
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size < kPrefixBytes) {
    return Fail(ErrorCode::kInvalid, "not a safetensors file: shorter than 8 bytes", path.string());
  }
  void* address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (address == MAP_FAILED) return Fail(ErrnoError("cannot map", path.string(), errno));
  auto mapping = std::make_shared<const Mapping>(address, size);

  const std::size_t header_size = HeaderSize(mapping->bytes());
  if (header_size > size - kPrefixBytes) {
    return Fail(ErrorCode::kInvalid, "not a safetensors file: its header is longer than the file",
                path.string());
  }
  const std::string_view json(reinterpret_cast<const char*>(mapping->bytes().data()) + kPrefixBytes,
                              header_size);
  const std::size_t data_start = kPrefixBytes + header_size;
  TUTTI_ASSIGN_OR_RETURN(Header header, ParseHeader(json, size - data_start, path.string()));
  return File(path, std::move(mapping), std::move(header), data_start);
}

Tensor File::at(std::size_t index) const {
  const TensorEntry& entry = header_->tensors.at(index);
  return Tensor{.name = entry.name,
                .dtype = entry.dtype,
                .shape = entry.shape,
                .data = mapping_->bytes().subspan(data_start_ + entry.from, entry.to - entry.from)};
}

Result<Tensor> File::Find(std::string_view name) const {
  const auto& tensors = header_->tensors;
  const auto it = std::lower_bound(
      tensors.begin(), tensors.end(), name,
      [](const TensorEntry& entry, std::string_view wanted) { return entry.name < wanted; });
  if (it == tensors.end() || it->name != name) {
    return Fail(ErrorCode::kNotFound, "no tensor " + std::string(name), path_.string());
  }
  return at(static_cast<std::size_t>(it - tensors.begin()));
}

bool File::Contains(std::string_view name) const { return Find(name).has_value(); }

}  // namespace tutti::safetensors
