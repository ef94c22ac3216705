#include "scheduler/coordinator/log_lines.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <deque>
#include <memory>
#include <utility>

#include "common/file/file.h"

namespace tutti::coordinator {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBlockBytes = std::size_t{256} << 10;

// One rank's output, line after line.
class RankScanner {
 public:
  struct Found {
    LinePlace start;
    LinePlace end;  // of the next line
    std::string text;
    bool cut = false;
  };

  static Result<std::unique_ptr<RankScanner>> Open(const LineRequest& request, std::uint32_t rank) {
    const fs::path path = request.folder / LogFileName(request.attempt, rank);
    std::unique_ptr<RankScanner> scanner(new RankScanner(request, rank));
    scanner->fd_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!scanner->fd_) return Fail(ErrnoError("cannot open", path.string(), errno));
    struct stat info {};
    if (::fstat(scanner->fd_.get(), &info) != 0) {
      return Fail(ErrnoError("cannot stat", path.string(), errno));
    }
    scanner->size_ = static_cast<std::uint64_t>(info.st_size);
    scanner->ReadMarks(request.folder / MarksFileName(request.attempt, rank));
    return scanner;
  }

  std::uint32_t rank() const { return rank_; }
  const LinePlace& place() const { return place_; }

  void Seek(const LinePlace& place) {
    place_ = place;
    read_from_ = read_to_ = std::min(place.offset, size_);
  }

  // The next line that the request wants; nullopt at the end.
  Result<std::optional<Found>> Next() {
    for (;;) {
      TUTTI_ASSIGN_OR_RETURN(std::optional<Found> line, NextLine());
      if (!line || request_.text.empty() || line->text.find(request_.text) != std::string::npos) {
        return line;
      }
    }
  }

  // The start of the first line of which some came at `unix_ms` or later.
  Status SeekTime(std::int64_t unix_ms) {
    const auto mark =
        std::ranges::find_if(marks_, [&](const LogMark& each) { return each.unix_ms >= unix_ms; });
    const std::uint64_t offset = mark == marks_.end() ? size_ : mark->offset;
    while (place_.offset < offset) {
      const LinePlace before = place_;
      TUTTI_ASSIGN_OR_RETURN(const std::optional<Found> line, NextLine());
      if (!line) break;
      if (line->end.offset > offset) {  // it was being written then
        Seek(before);
        break;
      }
    }
    return {};
  }

  // The first of the last `count` wanted lines.
  Status SeekTail(std::size_t count) {
    std::deque<LinePlace> last;
    for (;;) {
      TUTTI_ASSIGN_OR_RETURN(const std::optional<Found> line, Next());
      if (!line) break;
      last.push_back(line->start);
      if (last.size() > count) last.pop_front();
    }
    if (!last.empty()) Seek(last.front());
    return {};
  }

  std::optional<std::int64_t> TimeAt(std::uint64_t offset) const {
    const auto after = std::ranges::upper_bound(marks_, offset, {}, &LogMark::offset);
    if (after == marks_.begin()) return std::nullopt;
    return std::prev(after)->unix_ms;
  }

 private:
  RankScanner(const LineRequest& request, std::uint32_t rank) : request_(request), rank_(rank) {}

  // What cannot be read leaves lines without a time.
  void ReadMarks(const fs::path& path) {
    const auto data = ReadFile(path);
    if (!data) return;
    marks_.resize(std::min<std::size_t>(data->size(), kMarksBytesMax) / sizeof(LogMark));
    if (marks_.empty()) return;
    std::memcpy(marks_.data(), data->data(), marks_.size() * sizeof(LogMark));
    if (!std::ranges::is_sorted(marks_, {}, &LogMark::offset)) marks_.clear();
  }

  // false at the end of the file.
  Result<bool> Fill() {
    if (read_to_ >= size_) return false;
    block_.resize(kBlockBytes);
    const ssize_t count =
        ::pread(fd_.get(), block_.data(), std::min<std::uint64_t>(kBlockBytes, size_ - read_to_),
                static_cast<off_t>(read_to_));
    if (count < 0 && errno != EINTR) return Fail(ErrnoError("cannot read", "a log", errno));
    if (count <= 0) return count < 0 ? Fill() : Result<bool>(false);
    block_.resize(static_cast<std::size_t>(count));
    read_from_ = read_to_;
    read_to_ += static_cast<std::uint64_t>(count);
    return true;
  }

  Result<std::optional<Found>> NextLine() {
    Found line{.start = place_, .end = {}, .text = {}};
    std::uint64_t at = place_.offset;
    for (;;) {
      if (at >= read_to_) {
        TUTTI_ASSIGN_OR_RETURN(const bool filled, Fill());
        if (!filled) break;
      }
      const std::string_view rest = std::string_view(block_).substr(at - read_from_);
      const std::size_t end = rest.find('\n');
      const std::string_view piece = rest.substr(0, end);
      const std::size_t room = kLineMax - line.text.size();
      line.text += piece.substr(0, room);
      line.cut = line.cut || piece.size() > room;
      at += piece.size();
      if (end == std::string_view::npos) continue;
      return Finish(std::move(line), at + 1);
    }
    if (at == place_.offset || !request_.complete) return std::nullopt;
    return Finish(std::move(line), at);
  }

  std::optional<Found> Finish(Found line, std::uint64_t end) {
    // A hole in what arrived reads as zeros.
    line.text.erase(0, line.text.find_first_not_of('\0'));
    if (!line.text.empty() && line.text.back() == '\r') line.text.pop_back();
    place_ = {end, place_.lines + 1};
    line.end = place_;
    return line;
  }

  const LineRequest& request_;
  const std::uint32_t rank_;
  UniqueFd fd_;
  std::uint64_t size_ = 0;
  std::vector<LogMark> marks_;
  LinePlace place_;
  std::string block_;  // the file's [read_from_, read_to_)
  std::uint64_t read_from_ = 0, read_to_ = 0;
};

// The next line of a rank, waiting for its turn.
struct Waiting {
  std::unique_ptr<RankScanner> scanner;
  std::optional<RankScanner::Found> line = {};
  std::optional<std::int64_t> unix_ms = {};

  Status Advance() {
    TUTTI_ASSIGN_OR_RETURN(line, scanner->Next());
    if (line) unix_ms = scanner->TimeAt(line->start.offset);
    return {};
  }
};

std::vector<std::uint32_t> RanksIn(const LineRequest& request) {
  std::vector<std::uint32_t> ranks;
  if (request.rank) return {*request.rank};
  std::error_code error;
  for (fs::directory_iterator entry(request.folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const std::string prefix = std::to_string(Number(request.attempt)) + ".";
    std::uint32_t rank = 0;
    if (!name.starts_with(prefix) || !name.ends_with(".log")) continue;
    const auto parsed =
        std::from_chars(name.data() + prefix.size(), name.data() + name.size(), rank);
    if (parsed.ec == std::errc{} && name == LogFileName(request.attempt, rank)) {
      ranks.push_back(rank);
    }
  }
  std::ranges::sort(ranks);
  return ranks;
}

Result<std::vector<Waiting>> OpenRanks(const LineRequest& request) {
  std::vector<Waiting> ranks;
  for (const std::uint32_t rank : RanksIn(request)) {
    std::error_code error;
    if (!fs::exists(request.folder / LogFileName(request.attempt, rank), error)) continue;
    TUTTI_ASSIGN_OR_RETURN(auto scanner, RankScanner::Open(request, rank));
    if (const auto at = request.after.find(rank); at != request.after.end()) {
      scanner->Seek(at->second);
    }
    if (request.since_unix_ms) TUTTI_RETURN_IF_ERROR(scanner->SeekTime(*request.since_unix_ms));
    if (request.tail) TUTTI_RETURN_IF_ERROR(scanner->SeekTail(*request.tail));
    Waiting& waiting = ranks.emplace_back(Waiting{.scanner = std::move(scanner)});
    TUTTI_RETURN_IF_ERROR(waiting.Advance());
  }
  return ranks;
}

// Whose line came first; lines without a time before those with one.
Waiting* Earliest(std::vector<Waiting>& ranks) {
  Waiting* first = nullptr;
  for (Waiting& waiting : ranks) {
    if (!waiting.line) continue;
    if (first == nullptr || waiting.unix_ms.value_or(0) < first->unix_ms.value_or(0)) {
      first = &waiting;
    }
  }
  return first;
}

}  // namespace

std::string ToText(const LineCursor& cursor) {
  std::string text;
  for (const auto& [rank, place] : cursor) {
    if (!text.empty()) text += ',';
    text += std::to_string(rank) + ":" + std::to_string(place.offset) + ":" +
            std::to_string(place.lines);
  }
  return text;
}

Result<LineCursor> ParseLineCursor(std::string_view text) {
  const auto bad = [&] {
    return Fail(ErrorCode::kInvalid, "'" + std::string(text.substr(0, 100)) + "' is no place",
                "after", "give what 'next' of an earlier answer was");
  };
  LineCursor cursor;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    std::uint32_t rank = 0;
    LinePlace place;
    auto parsed = std::from_chars(at, end, rank);
    if (parsed.ec != std::errc{} || parsed.ptr == end || *parsed.ptr != ':') return bad();
    parsed = std::from_chars(parsed.ptr + 1, end, place.offset);
    if (parsed.ec != std::errc{} || parsed.ptr == end || *parsed.ptr != ':') return bad();
    parsed = std::from_chars(parsed.ptr + 1, end, place.lines);
    if (parsed.ec != std::errc{} || place.offset >> 62 != 0) return bad();
    cursor[rank] = place;
    at = parsed.ptr;
    if (at != end && (*at++ != ',' || at == end)) return bad();
  }
  return cursor;
}

std::string LogFileName(Attempt attempt, std::uint32_t rank) {
  return std::to_string(Number(attempt)) + "." + std::to_string(rank) + ".log";
}

std::string MarksFileName(Attempt attempt, std::uint32_t rank) {
  return std::to_string(Number(attempt)) + "." + std::to_string(rank) + ".times";
}

Result<LinePage> ReadLines(const LineRequest& request) {
  TUTTI_ASSIGN_OR_RETURN(std::vector<Waiting> ranks, OpenRanks(request));
  LinePage page{.lines = {}, .next = request.after};
  std::deque<LogLine> lines;
  std::size_t bytes = 0;
  Waiting* first = nullptr;
  while ((first = Earliest(ranks)) != nullptr) {
    const bool full = lines.size() >= request.limit || bytes >= kPageBytes;
    if (full && !request.tail) break;
    RankScanner::Found& found = *first->line;
    bytes += found.text.size();
    lines.push_back({.rank = first->scanner->rank(),
                     .number = found.start.lines + 1,
                     .unix_ms = first->unix_ms,
                     .text = std::move(found.text),
                     .cut = found.cut});
    // Of several ranks' last lines the last ones count.
    while (request.tail && !lines.empty() && (lines.size() > *request.tail || bytes > kPageBytes)) {
      bytes -= lines.front().text.size();
      lines.pop_front();
    }
    TUTTI_RETURN_IF_ERROR(first->Advance());
  }
  for (const Waiting& waiting : ranks) {
    page.next[waiting.scanner->rank()] =
        waiting.line ? waiting.line->start : waiting.scanner->place();
    page.more = page.more || waiting.line.has_value();
  }
  page.lines.assign(std::make_move_iterator(lines.begin()), std::make_move_iterator(lines.end()));
  return page;
}

}  // namespace tutti::coordinator
