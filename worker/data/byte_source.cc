#include "worker/data/byte_source.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/base/check.h"

namespace tutti::data {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{256} << 10;
constexpr int kGzipWindow = 15 + 16;  // zlib: the largest window, gzip's wrapper

}  // namespace

struct ByteSource::Inflater {
  z_stream stream{};
  std::vector<char> out = std::vector<char>(kBlockBytes);
  std::int64_t taken = 0;  // compressed bytes read
  std::int64_t given = 0;
  bool in_member = false;
  bool any_member = false;

  Inflater() { TUTTI_CHECK(inflateInit2(&stream, kGzipWindow) == Z_OK); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream); }
};

ByteSource::ByteSource(UniqueFd fd, std::string where, bool gzip)
    : fd_(std::move(fd)), where_(std::move(where)), block_(kBlockBytes) {
  if (gzip) inflater_ = std::make_unique<Inflater>();
}
ByteSource::ByteSource(ByteSource&&) noexcept = default;
ByteSource& ByteSource::operator=(ByteSource&&) noexcept = default;
ByteSource::~ByteSource() = default;

Result<ByteSource> ByteSource::Open(const std::filesystem::path& path, bool gzip,
                                    std::string where) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Fail(ErrnoError("cannot open", where, errno));
  return ByteSource(std::move(fd), std::move(where), gzip);
}

Result<std::string_view> ByteSource::Next() { return inflater_ ? Inflate() : ReadBlock(); }

Result<std::string_view> ByteSource::ReadBlock() {
  for (;;) {
    const ssize_t count = ::read(fd_.get(), block_.data(), block_.size());
    if (count >= 0) return std::string_view(block_.data(), static_cast<std::size_t>(count));
    if (errno != EINTR) return Fail(ErrnoError("cannot read", where_, errno));
  }
}

// A gzip file is one member or several, one after the other.
Result<std::string_view> ByteSource::Inflate() {
  Inflater& z = *inflater_;
  z.stream.next_out = reinterpret_cast<Bytef*>(z.out.data());
  z.stream.avail_out = static_cast<uInt>(z.out.size());
  while (z.stream.avail_out == z.out.size()) {
    if (z.stream.avail_in == 0) {
      TUTTI_ASSIGN_OR_RETURN(const std::string_view block, ReadBlock());
      if (block.empty() && (z.in_member || !z.any_member)) {
        return Fail(ErrorCode::kInvalid, "the gzip data ends early", where_);
      }
      if (block.empty()) return std::string_view();
      z.taken += static_cast<std::int64_t>(block.size());
      z.stream.next_in = reinterpret_cast<Bytef*>(block_.data());
      z.stream.avail_in = static_cast<uInt>(block.size());
    }
    if (!z.in_member && z.any_member) inflateReset(&z.stream);
    z.in_member = z.any_member = true;
    const int code = inflate(&z.stream, Z_NO_FLUSH);
    if (code == Z_STREAM_END) {
      z.in_member = false;
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      return Fail(
          ErrorCode::kInvalid,
          z.stream.total_out == 0 && z.given == 0 ? "not gzip data" : "the gzip data is corrupt",
          where_);
    }
  }
  const std::size_t count = z.out.size() - z.stream.avail_out;
  z.given += static_cast<std::int64_t>(count);
  const std::int64_t used = z.taken - std::int64_t{z.stream.avail_in};
  if (z.given > kExpansionFree + kExpansionTimes * used) {
    return Fail(
        ErrorCode::kTooLarge,
        "the gzip data expands to more than " + std::to_string(kExpansionTimes) + " times its size",
        where_, "unpack the file and give it as it is");
  }
  return std::string_view(z.out.data(), count);
}

}  // namespace tutti::data
