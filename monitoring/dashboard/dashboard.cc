#include "monitoring/dashboard/dashboard.h"

#include <zlib.h>

#include <algorithm>
#include <array>

#include "common/base/check.h"

namespace tutti::dashboard {
namespace {

constexpr int kGzipWindow = 15 + 16;  // zlib's way to say: with gzip's header

}  // namespace

const Asset* Find(std::string_view path) {
  const auto assets = Assets();
  const auto found = std::find_if(assets.begin(), assets.end(),
                                  [path](const Asset& each) { return each.path == path; });
  return found == assets.end() ? nullptr : &*found;
}

std::string Plain(const Asset& asset) {
  z_stream stream{};
  TUTTI_CHECK(inflateInit2(&stream, kGzipWindow) == Z_OK);
  // zlib does not write to its input, though its type does not say so.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(asset.gzip.data()));
  stream.avail_in = static_cast<uInt>(asset.gzip.size());
  std::string plain;
  std::array<char, 1 << 14> piece{};
  int state = Z_OK;
  while (state == Z_OK) {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    state = inflate(&stream, Z_NO_FLUSH);
    plain.append(piece.data(), piece.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  TUTTI_CHECK(state == Z_STREAM_END, "dashboard asset ", asset.path);
  return plain;
}

}  // namespace tutti::dashboard
