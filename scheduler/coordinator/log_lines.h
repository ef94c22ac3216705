// The output of a job's ranks as lines: by rank, by text, since a time, the last ones; of several
// ranks in the order of time. Reads files alone, in bounded memory: at most kPageBytes of text are
// handed out at once, and a line longer than kLineMax is cut.
//
// Free functions; any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"

namespace tutti::coordinator {

inline constexpr std::size_t kLineMax = std::size_t{64} << 10;
inline constexpr std::size_t kPageBytes = std::size_t{4} << 20;

// Where a line starts in a rank's output: its byte, and how many lines are before it.
struct LinePlace {
  std::uint64_t offset = 0;
  std::uint64_t lines = 0;
  bool operator==(const LinePlace&) const = default;
};
using LineCursor = std::map<std::uint32_t, LinePlace>;  // by rank
// "0:5210:17,1:0:0"; kInvalid for anything else.
std::string ToText(const LineCursor& cursor);
Result<LineCursor> ParseLineCursor(std::string_view text);

// When output was written: one mark says that what follows `offset` came at `unix_ms` or later.
struct LogMark {
  std::uint64_t offset = 0;
  std::int64_t unix_ms = 0;
  bool operator==(const LogMark&) const = default;
};
inline constexpr std::uint64_t kMarksBytesMax = std::uint64_t{4} << 20;  // a rank's

// Where the output of a rank lies below its job's folder, and when it came.
std::string LogFileName(Attempt attempt, std::uint32_t rank);
std::string MarksFileName(Attempt attempt, std::uint32_t rank);

struct LogLine {
  std::uint32_t rank = 0;
  std::uint64_t number = 0;  // in the rank's output of this attempt, from 1
  std::optional<std::int64_t> unix_ms = {};
  std::string text = {};  // without its end
  bool cut = false;
};

struct LineRequest {
  std::filesystem::path folder;  // of the job's logs
  Attempt attempt{};
  std::optional<std::uint32_t> rank = {};  // nullopt = all
  std::string text = {};                   // only lines that have it; "" = all
  std::optional<std::int64_t> since_unix_ms = {};
  std::optional<std::size_t> tail = {};  // the last so many
  std::size_t limit = 1000;
  LineCursor after = {};  // ranks that are not in it: from the start
  // Nothing more comes: a last line without an end counts.
  bool complete = false;
};

struct LinePage {
  std::vector<LogLine> lines;
  LineCursor next;  // for `after`
  bool more = false;
};

Result<LinePage> ReadLines(const LineRequest& request);

}  // namespace tutti::coordinator
