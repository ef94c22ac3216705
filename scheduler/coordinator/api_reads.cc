// What happened to jobs: events, from the journal or live, and the output of ranks.
#include <nlohmann/json.hpp>
#include <utility>

#include "scheduler/coordinator/answers.h"
#include "scheduler/coordinator/job_json.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

constexpr std::size_t kEventsDefault = 100;
constexpr std::size_t kEventsMax = 1000;
constexpr std::size_t kLogDefault = std::size_t{1} << 20;
constexpr std::size_t kLogMax = std::size_t{4} << 20;

// At most `limit` events after `after`; facts that are no events are passed over.
Result<std::vector<http::Event>> EventsFrom(const View& view, std::uint64_t after,
                                            std::size_t limit, std::optional<JobId> job) {
  std::vector<http::Event> events;
  for (;;) {
    TUTTI_ASSIGN_OR_RETURN(const auto entries, job ? view.store->ReadOf(*job, after, limit)
                                                   : view.store->Read(after, limit));
    for (const store::JournalEntry& entry : entries) {
      after = entry.seq;
      auto event = EventOf(entry.seq, entry.fact, view.state->ledger);
      if (!event) continue;
      events.push_back({.seq = entry.seq,
                        .job = std::move(event->job),
                        .type = std::move(event->type),
                        .data = std::move(event->data)});
      if (events.size() == limit) return events;
    }
    if (entries.size() < limit) return events;
  }
}

void ListEvents(Api& api, const http::Request& request, const http::Responder& responder) {
  const auto after = request.QueryNumber("after", 0);
  const auto limit = request.QueryNumber("limit", kEventsDefault);
  if (!after || !limit) {
    responder.Send(after ? limit.error() : after.error());
    return;
  }
  AnswerRead(
      api, responder,
      [text = request.Param("job"), after = *after,
       limit = std::clamp<std::size_t>(*limit, 1, kEventsMax)](
          const View& view) -> Result<std::vector<http::Event>> {
        TUTTI_ASSIGN_OR_RETURN(const core::Job job, JobReader::FindJob(view, text));
        return EventsFrom(view, after, limit, job.id);
      },
      [limit =
           std::clamp<std::size_t>(*limit, 1, kEventsMax)](const std::vector<http::Event>& events) {
        json data = json::array();
        for (const http::Event& event : events) data.push_back(json::parse(event.data));
        const bool more = events.size() == limit;
        return http::Json(
            200, {{"data", std::move(data)}, {"next", more ? json(events.back().seq) : json()}});
      });
}

void StreamEvents(Api& api, http::Request request, const http::Responder& responder) {
  const std::string text(request.Query("job").value_or(""));
  const auto send = [&api, responder](const http::Request& asked, const std::string& job) {
    auto response = api.events.Subscribe(asked, job);
    responder.Send(response ? std::move(*response) : http::ErrorResponse(response.error()));
  };
  if (text.empty()) return send(request, "");
  WithJob(api, responder, text,
          [send, shared = std::make_shared<http::Request>(std::move(request))](
              const core::Job& job) { send(*shared, job.id.ToString()); });
}

struct LogRequest {
  std::uint64_t rank = 0;
  std::uint64_t attempt = 0;  // 0 = the newest
  std::uint64_t offset = 0;
  std::uint64_t limit = kLogDefault;
};

Result<LogRequest> LogRequestOf(const http::Request& request) {
  LogRequest out;
  TUTTI_ASSIGN_OR_RETURN(out.rank, request.QueryNumber("rank", 0));
  TUTTI_ASSIGN_OR_RETURN(out.attempt, request.QueryNumber("attempt", 0));
  TUTTI_ASSIGN_OR_RETURN(out.offset, request.QueryNumber("offset", 0));
  TUTTI_ASSIGN_OR_RETURN(out.limit, request.QueryNumber("limit", kLogDefault));
  constexpr std::uint64_t kRankMax = 0xffffffffU;
  if (out.rank > kRankMax || out.attempt > kRankMax || out.offset >> 62 != 0) {
    return Fail(ErrorCode::kInvalid, "rank, attempt or offset is out of range");
  }
  out.limit = std::clamp<std::uint64_t>(out.limit, 1, kLogMax);
  return out;
}

void ReadLog(Api& api, const http::Request& request, const http::Responder& responder) {
  const auto asked = LogRequestOf(request);
  if (!asked) {
    responder.Send(asked.error());
    return;
  }
  AnswerRead(
      api, responder,
      [text = request.Param("job"), asked = *asked](const View& view) -> Result<LogKey> {
        TUTTI_ASSIGN_OR_RETURN(const core::Job job, JobReader::FindJob(view, text));
        const auto attempt =
            asked.attempt == 0 ? job.attempt : Attempt{static_cast<std::uint32_t>(asked.attempt)};
        return LogKey{job.id, attempt, static_cast<std::uint32_t>(asked.rank)};
      },
      [&api, asked = *asked](const LogKey& key) {
        auto slice = api.logs.Read(key, asked.offset, asked.limit);
        if (!slice) return http::ErrorResponse(slice.error());
        return http::Text(200, std::move(slice->text))
            .With("x-next-offset", std::to_string(slice->next_offset))
            .With("x-attempt", std::to_string(Number(key.attempt)));
      });
}

}  // namespace

http::OlderEvents OlderEventsFrom(Loop& loop) {
  return [&loop](std::uint64_t after, const std::string& job, std::size_t limit,
                 std::function<void(std::vector<http::Event>)> done) {
    loop.Read([after, id = JobId::Parse(job), limit, done](const Result<View>& view) {
      if (!view) return done({});
      auto events = EventsFrom(*view, after, limit, id);
      done(events ? std::move(*events) : std::vector<http::Event>());
    });
  };
}

void RegisterReadRoutes(http::Router& router, Api& api) {
  router.Add({.path = "/api/v1/jobs/{job}/events",
              .summary = "What happened to a job, oldest first",
              .response_schema = R"({"type": "object", "required": ["data", "next"],
                "properties": {"data": {"type": "array", "items":
                  {"$ref": "#/components/schemas/Event"}},
                "next": {"type": ["integer", "null"], "description": "for ?after="}}})",
              .query = {"after", "limit"},
              .access = http::Access::kViewer,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                ListEvents(api, request, responder);
              }});
  router.Add({.path = "/api/v1/jobs/{job}/logs",
              .summary = "Output of one rank; x-next-offset says where to go on",
              .response_type = "text/plain",
              .query = {"rank", "attempt", "offset", "limit"},
              .access = http::Access::kViewer,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                ReadLog(api, request, responder);
              }});
  router.Add({.path = "/api/v1/events",
              .summary = "Server-sent events, replayed after Last-Event-ID or ?after=",
              .response_type = "text/event-stream",
              .query = {"job", "after"},
              .access = http::Access::kViewer,
              .handler = [&api](http::Request request, const http::Responder& responder) {
                StreamEvents(api, std::move(request), responder);
              }});
}

}  // namespace tutti::coordinator
