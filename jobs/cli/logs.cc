// What a job's ranks wrote, and what happened to it.
#include "jobs/cli/commands.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/follow_state.h"
#include "jobs/cli/job_text.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/watch.h"
#include "jobs/client/interrupt.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

constexpr int kPiece = 1 << 20;
constexpr int kEventPage = 500;
constexpr Duration kPoll = std::chrono::milliseconds(300);

// One rank's output of one attempt, read on and on.
class LogReader {
 public:
  LogReader(Context& context, std::string job, int rank, int attempt)
      : context_(context), job_(std::move(job)), rank_(rank), attempt_(attempt) {}

  int attempt() const { return attempt_; }

  // Prints what is there beyond what was printed; how many bytes.
  client::Answer<std::size_t> Advance() {
    std::size_t total = 0;
    for (;;) {
      const std::string target =
          client::JobTarget(job_, "/logs") + "?rank=" + std::to_string(rank_) +
          "&attempt=" + std::to_string(attempt_) + "&offset=" + std::to_string(offset_) +
          "&limit=" + std::to_string(kPiece);
      const auto response = context_.client.Send({.target = target});
      if (!response) return client::Fails(response.error());
      if (response->status != 200) {
        return tl::unexpected<client::Errors>(client::ErrorsOf(*response, target));
      }
      Print(response->body);
      total += response->body.size();
      const std::string next = response->Header("x-next-offset");
      offset_ = next.empty() ? offset_ + static_cast<std::int64_t>(response->body.size())
                             : std::atoll(next.c_str());
      if (response->body.empty()) return total;
    }
  }

  // The last line, should it have no end.
  void Flush() {
    if (!pending_.empty()) PrintLine(std::exchange(pending_, {}));
  }

 private:
  void Print(const std::string& text) {
    if (!context_.console.json()) return context_.console.OutRaw(text);
    pending_ += text;
    for (std::size_t end = 0; (end = pending_.find('\n')) != std::string::npos;) {
      PrintLine(pending_.substr(0, end));
      pending_.erase(0, end + 1);
    }
  }
  void PrintLine(const std::string& line) {
    context_.console.OutJson({{"rank", rank_}, {"attempt", attempt_}, {"line", line}});
  }

  Context& context_;
  const std::string job_;
  const int rank_;
  const int attempt_;
  std::int64_t offset_ = 0;
  std::string pending_;
};

// Attempt after attempt until the job has finished and all is printed. Outlives the coordinator.
int FollowLogs(Context& context, const std::string& id, const LogsOptions& options) {
  const client::InterruptScope interrupts;
  std::optional<LogReader> reader;
  Instant last_answer = MonotonicNow();
  while (!client::Interrupted()) {
    const auto job = context.client.Get(client::JobTarget(id));
    const int current = job ? static_cast<int>(IntAt(*job, "/attempt").value_or(0)) : 0;
    const int wanted = options.attempt.value_or(current);
    const bool final = job && IsFinalState(TextAt(*job, "/state"));
    if (job) last_answer = MonotonicNow();
    if (job && !reader && wanted > 0) reader.emplace(context, id, options.rank.value_or(0), wanted);
    std::size_t printed = 0;
    if (job && reader) {
      const auto more = reader->Advance();
      printed = more.value_or(0);
      if (more && printed == 0 && reader->attempt() != wanted) {
        reader->Flush();
        reader.emplace(context, id, options.rank.value_or(0), wanted);
        continue;
      }
    }
    if (final && printed == 0) break;
    if (MonotonicNow() - last_answer > EventWatch::kGrace)
      return context.console.Complain(job.error());
    client::Pause(kPoll);
  }
  if (reader) reader->Flush();
  return client::Interrupted() ? kInterrupted : kOk;
}

void PrintEvent(Context& context, const json& event, bool with_job) {
  if (context.console.json()) return context.console.OutJson(event);
  const std::string job = with_job ? TextAt(event, "/job") + "  " : "";
  context.console.Out(TextAt(event, "/at") + "  " + job + EventText(event));
}

int FollowEvents(Context& context, const std::string& id) {
  const client::InterruptScope interrupts;
  EventWatch watch(context.client, id);
  for (;;) {
    const WatchItem item = watch.Next(std::chrono::seconds(1));
    switch (item.kind) {
      case WatchItem::Kind::kEvent: {
        const json event = json::parse(item.event.data, nullptr, false);
        if (event.is_object()) PrintEvent(context, event, id.empty());
        const std::string type = event.is_object() ? TextAt(event, "/type") : "";
        if (!id.empty() && IsFinalEvent(type)) return kOk;
        break;
      }
      case WatchItem::Kind::kLost:
        context.console.Note("the coordinator is away; waiting for it to come back");
        break;
      case WatchItem::Kind::kGone:
        return context.console.Complain(item.error);
      case WatchItem::Kind::kInterrupted:
        return kInterrupted;
      case WatchItem::Kind::kBack:
      case WatchItem::Kind::kQuiet:
        break;
    }
  }
}

}  // namespace

int Logs(Context& context, const LogsOptions& options) {
  const auto job = context.client.Get(client::JobTarget(options.job));
  if (!job) return context.console.Complain(job.error());
  const std::string id = TextAt(*job, "/id");
  if (options.follow) return FollowLogs(context, id, options);
  const int attempt =
      options.attempt.value_or(static_cast<int>(IntAt(*job, "/attempt").value_or(0)));
  if (attempt == 0) {
    context.console.Note("no output yet: " + id + " is " + TextAt(*job, "/state"));
    return kOk;
  }
  LogReader reader(context, id, options.rank.value_or(0), attempt);
  if (const auto all = reader.Advance(); !all) return context.console.Complain(all.error());
  reader.Flush();
  return kOk;
}

int Events(Context& context, const EventsOptions& options) {
  if (options.job.empty()) return FollowEvents(context, "");
  const auto job = context.client.Get(client::JobTarget(options.job));
  if (!job) return context.console.Complain(job.error());
  const std::string id = TextAt(*job, "/id");
  if (options.follow) return FollowEvents(context, id);
  std::string after = "0";
  for (;;) {
    const auto page = context.client.Get(client::JobTarget(id, "/events") + "?after=" + after +
                                         "&limit=" + std::to_string(kEventPage));
    if (!page) return context.console.Complain(page.error());
    for (const json& event : ListAt(*page, "/data")) PrintEvent(context, event, false);
    const std::string next = TextAt(*page, "/next");
    if (next.empty() || ListAt(*page, "/data").empty()) return kOk;
    after = next;
  }
}

}  // namespace tutti::cli
