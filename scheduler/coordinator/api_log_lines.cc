// The output of ranks as lines: searched, of all ranks, page by page.
#include <nlohmann/json.hpp>
#include <utility>

#include "scheduler/coordinator/answers.h"
#include "scheduler/coordinator/log_lines.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

constexpr std::uint64_t kLimitDefault = 1000;
constexpr std::uint64_t kLimitMax = 10'000;
constexpr std::size_t kTextMax = 1000;
constexpr std::uint64_t kNumberMax = 0xffffffffU;

Result<std::optional<std::uint64_t>> NumberIfGiven(const http::Request& request, const char* name,
                                                   std::uint64_t max) {
  if (!request.Query(name)) return std::nullopt;
  TUTTI_ASSIGN_OR_RETURN(const std::uint64_t number, request.QueryNumber(name, 0));
  if (number > max) {
    return Fail(ErrorCode::kInvalid, "must be at most " + std::to_string(max), name);
  }
  return number;
}

// All but the folder; attempt 0 = the newest.
Result<LineRequest> LinesAsked(const http::Request& request) {
  LineRequest asked;
  TUTTI_ASSIGN_OR_RETURN(const auto rank, NumberIfGiven(request, "rank", kNumberMax));
  if (rank) asked.rank = static_cast<std::uint32_t>(*rank);
  TUTTI_ASSIGN_OR_RETURN(const auto attempt, NumberIfGiven(request, "attempt", kNumberMax));
  asked.attempt = Attempt{static_cast<std::uint32_t>(attempt.value_or(0))};
  asked.text = request.Query("q").value_or("");
  if (asked.text.size() > kTextMax) {
    return Fail(ErrorCode::kTooLarge, "has more than " + std::to_string(kTextMax) + " bytes", "q");
  }
  TUTTI_ASSIGN_OR_RETURN(const auto since,
                         NumberIfGiven(request, "since_ms", std::uint64_t{1} << 62));
  if (since) asked.since_unix_ms = static_cast<std::int64_t>(*since);
  TUTTI_ASSIGN_OR_RETURN(const auto tail, NumberIfGiven(request, "tail", kLimitMax));
  if (tail) asked.tail = static_cast<std::size_t>(*tail);
  TUTTI_ASSIGN_OR_RETURN(const std::uint64_t limit, request.QueryNumber("limit", kLimitDefault));
  if (limit == 0 || limit > kLimitMax) {
    return Fail(ErrorCode::kInvalid, "must be between 1 and " + std::to_string(kLimitMax), "limit");
  }
  asked.limit = static_cast<std::size_t>(limit);
  TUTTI_ASSIGN_OR_RETURN(asked.after, ParseLineCursor(request.Query("after").value_or("")));
  return asked;
}

json PageJson(const LineRequest& asked, const LinePage& page) {
  json data = json::array();
  for (const LogLine& line : page.lines) {
    data.push_back({{"rank", line.rank},
                    {"attempt", Number(asked.attempt)},
                    {"number", line.number},
                    {"at", line.unix_ms ? json(WallTime{*line.unix_ms}.ToRfc3339()) : json()},
                    {"line", line.text},
                    {"cut", line.cut}});
  }
  return {{"attempt", Number(asked.attempt)},
          {"data", std::move(data)},
          {"next", ToText(page.next)},
          {"more", page.more},
          {"complete", asked.complete}};
}

void ListLines(Api& api, const http::Request& request, const http::Responder& responder) {
  auto asked = LinesAsked(request);
  if (!asked) {
    responder.Send(asked.error());
    return;
  }
  AnswerRead(
      api, responder,
      [&api, text = request.Param("job"),
       asked = std::move(*asked)](const View& view) -> Result<LineRequest> {
        TUTTI_ASSIGN_OR_RETURN(const core::Job job, JobReader::FindJob(view, text));
        LineRequest of_job = asked;
        of_job.folder = api.logs.FolderOf(job.id);
        if (Number(of_job.attempt) == 0) of_job.attempt = job.attempt;
        const core::Gang* gang = core::ActiveGang(job);
        of_job.complete = gang == nullptr || gang->attempt != of_job.attempt;
        return of_job;
      },
      [](const LineRequest& of_job) {
        const auto page = ReadLines(of_job);
        if (!page) return http::ErrorResponse(page.error());
        return http::Json(200, PageJson(of_job, *page));
      });
}

constexpr const char* kLines = R"({"type": "object",
  "required": ["attempt", "data", "next", "more", "complete"], "properties": {
  "attempt": {"type": "integer", "description": "0 = there was none yet"},
  "data": {"type": "array", "items": {"type": "object", "properties": {
    "rank": {"type": "integer"}, "attempt": {"type": "integer"},
    "number": {"type": "integer", "description": "of the line in this rank's output, from 1"},
    "at": {"type": ["string", "null"], "format": "date-time"},
    "line": {"type": "string"},
    "cut": {"type": "boolean", "description": "it was longer than 64 KiB"}}}},
  "next": {"type": "string", "description": "for ?after="},
  "more": {"type": "boolean", "description": "there is more already"},
  "complete": {"type": "boolean", "description": "nothing more will come"}}})";

}  // namespace

void RegisterLogLineRoutes(http::Router& router, Api& api) {
  router.Add(
      {.path = "/api/v1/jobs/{job}/logs/lines",
       .summary = "Output of ranks as lines, of all ranks in the order of time; ?q= searches",
       .response_schema = kLines,
       .query = {"rank", "attempt", "q", "since_ms", "tail", "limit", "after"},
       .access = http::Access::kViewer,
       .handler = [&api](const http::Request& request, const http::Responder& responder) {
         ListLines(api, request, responder);
       }});
}

}  // namespace tutti::coordinator
