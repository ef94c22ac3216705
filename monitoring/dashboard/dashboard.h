// The dashboard's files as they are served: built from src/ by npm, kept compressed in dist/,
// linked into the program. Constants; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tutti::dashboard {

struct Asset {
  std::string_view path;          // below /ui/: "app.js"
  std::string_view content_type;  // "text/javascript; charset=utf-8"
  std::string_view gzip;          // the compressed bytes
};

std::span<const Asset> Assets();
// nullptr when there is no such file.
const Asset* Find(std::string_view path);
// The bytes before compression. REQUIRES: an asset of Assets().
std::string Plain(const Asset& asset);

}  // namespace tutti::dashboard
