#include "jobs/cli/spec_file.h"

#include <sys/random.h>

#include <array>
#include <iostream>
#include <iterator>

#include "common/file/file.h"

namespace tutti::cli {

namespace fs = std::filesystem;

std::string NewKey() {
  std::array<unsigned char, 16> bits{};
  std::string out;
  if (::getrandom(bits.data(), bits.size(), 0) != static_cast<ssize_t>(bits.size())) return out;
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const unsigned char byte : bits) out += {kHex[byte >> 4], kHex[byte & 15]};
  return out;
}

Result<SpecFile> ReadSpecFile(Context& context, const std::string& path) {
  std::error_code ignored;
  const fs::path folder = path == "-" ? fs::path(".") : fs::path(path).parent_path();
  SpecFile file{.text = {},
                .shown = path == "-" ? "stdin" : path,
                .base = fs::absolute(folder.empty() ? "." : folder, ignored).lexically_normal()};
  if (path == "-") {
    file.text = std::string(std::istreambuf_iterator<char>(context.console.in()), {});
    return file;
  }
  Result<std::string> text = ReadFile(path, Bytes{1 << 20});
  if (!text && text.error().code == ErrorCode::kNotFound) {
    return Fail(ErrorCode::kConflict, "no such spec", path, "write one with: tutti init");
  }
  TUTTI_ASSIGN_OR_RETURN(file.text, std::move(text));
  return file;
}

}  // namespace tutti::cli
