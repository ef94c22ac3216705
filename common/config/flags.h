// Flags: the configuration of one program, declared once: a typed struct beside its main, one row
// an option. Read from `--name value`, `--name=value` and a JSON file (`--config FILE`, the same
// names); the command line wins. Lists repeat: `--label a --label b`.
//
// Values are written through the pointers of the rows, which outlive the call. No threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/result.h"
#include "common/base/time.h"
#include "common/base/units.h"

namespace tutti::config {

// What an option's text becomes. A bool is `--name`, `--name=true` or `--name=false`; durations and
// sizes are written with units ("250ms", "4GiB").
using Target = std::variant<bool*, std::int64_t*, double*, std::string*, std::filesystem::path*,
                            Duration*, Bytes*, std::vector<std::string>*>;

struct Option {
  std::string name;  // without dashes: "data-dir"
  Target target;     // holds the default
  std::string help;  // one line
  bool required = false;
  std::int64_t min = std::numeric_limits<std::int64_t>::min();  // of whole numbers
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
};

struct Program {
  std::string name;     // "tutti-coordinator"
  std::string summary;  // one line
  std::string version;  // of --version
  std::vector<Option> options;
};

// `arguments` without the program's name. nullopt: every value is set, go on. A text: print it on
// stdout and exit 0 (--help, --version, --print-config).
//   kInvalid  unknown or repeated option, missing or bad value; where = the option, or the file and
//             key
Result<std::optional<std::string>> Parse(const Program& program,
                                         std::span<const std::string> arguments);
// The same from main's parameters.
Result<std::optional<std::string>> Parse(const Program& program, int argc, const char* const* argv);

// "127.0.0.1:7717", "[::1]:0", "localhost:80". kInvalid for anything else.
struct HostPort {
  std::string host;  // without brackets
  std::uint16_t port = 0;
  bool operator==(const HostPort&) const = default;
};
Result<HostPort> ParseHostPort(std::string_view text, std::string where);

}  // namespace tutti::config
