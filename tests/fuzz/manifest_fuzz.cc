// Any bytes as a checkpoint's manifest. The first line is the file's name. Refused with a bounded
// message, or values that survive being written again.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "common/base/check.h"
#include "tests/fuzz/fuzz_target.h"
#include "worker/checkpoint/manifest.h"

namespace tutti::checkpoint {
namespace {

void Run(std::string_view text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos || end > 255) return;
  const std::string name(text.substr(0, end));
  if (name.find('/') != std::string::npos || name.find('\0') != std::string::npos) return;
  const std::filesystem::path path = std::filesystem::path("job") / name;
  const auto found = ParseManifest(text.substr(end + 1), path);
  if (!found) {
    TUTTI_CHECK(found.error().ToString().size() < 1024, found.error().ToString().size(),
                " bytes of problem");
    return;
  }
  TUTTI_CHECK(found->path.parent_path() == "job", "a file elsewhere: ", found->path.string());
  TUTTI_CHECK(found->step >= 0 && found->size.count >= 0, "less than nothing");
  const std::string written = FormatManifest(*found);
  const auto again = ParseManifest(written, path);
  TUTTI_CHECK(again.has_value(), again.error().ToString());
  TUTTI_CHECK(FormatManifest(*again) == written, "another manifest");
}

}  // namespace
}  // namespace tutti::checkpoint

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0) tutti::checkpoint::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
