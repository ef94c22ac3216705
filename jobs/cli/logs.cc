// What a job's ranks wrote, and what happened to it.
#include "jobs/cli/commands.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/follow_state.h"
#include "jobs/cli/job_text.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/table.h"
#include "jobs/cli/watch.h"
#include "jobs/client/interrupt.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

constexpr int kLines = 2000;  // of one answer
constexpr int kEventPage = 500;
constexpr Duration kPoll = std::chrono::milliseconds(300);

// The output of an attempt's ranks, read on and on.
class LineReader {
 public:
  LineReader(Context& context, std::string job, int attempt, const LogsOptions& options,
             std::int64_t since_ms)
      : context_(context),
        job_(std::move(job)),
        attempt_(attempt),
        options_(options),
        since_ms_(since_ms) {}

  int attempt() const { return attempt_; }
  // Nothing more will come.
  bool complete() const { return complete_; }
  // Says whose each line is.
  void SetLabels(bool labels) { labels_ = labels; }

  // Prints what is there beyond what was printed.
  client::Answer<json> Advance() {
    for (;;) {
      auto page = context_.client.Get(Target());
      if (!page) return page;
      for (const json& line : ListAt(*page, "/data")) Print(line);
      after_ = TextAt(*page, "/next");
      started_ = true;
      complete_ = At(*page, "/complete") == json(true);
      if (At(*page, "/more") != json(true)) return page;
    }
  }

 private:
  std::string Target() const {
    std::string target = client::JobTarget(job_, "/logs/lines") +
                         "?attempt=" + std::to_string(attempt_) +
                         "&limit=" + std::to_string(kLines);
    if (options_.rank) target += "&rank=" + std::to_string(*options_.rank);
    if (!options_.grep.empty()) target += "&q=" + httpclient::EncodeSegment(options_.grep);
    // Where to start counts once; later pages go on from there.
    if (!started_ && since_ms_ > 0) target += "&since_ms=" + std::to_string(since_ms_);
    if (!started_ && options_.tail) target += "&tail=" + std::to_string(*options_.tail);
    if (!after_.empty()) target += "&after=" + httpclient::EncodeSegment(after_);
    return target;
  }

  void Print(const json& line) {
    Console& console = context_.console;
    if (console.json()) return console.OutJson(line);
    std::string text;
    if (labels_) {
      text += Painted("[" + TextAt(line, "/rank") + "] ", Paint::kCyan, console.out_color());
    }
    if (options_.numbers) text += TextAt(line, "/number") + ":";
    console.OutRaw(text + TextAt(line, "/line") + "\n");
  }

  Context& context_;
  const std::string job_;
  const int attempt_;
  const LogsOptions& options_;
  const std::int64_t since_ms_;
  bool labels_ = false;
  bool started_ = false;
  bool complete_ = false;
  std::string after_;
};

// Several ranks write, and nobody said which are wanted.
bool NeedsLabels(const json& job, int attempt, const LogsOptions& options) {
  if (options.rank) return false;
  for (const json& one : ListAt(job, "/attempts")) {
    if (IntAt(one, "/attempt") == attempt) return IntAt(one, "/ranks").value_or(1) > 1;
  }
  return false;
}

// Attempt after attempt until the job has finished and all is printed. Outlives the coordinator.
int FollowLogs(Context& context, const std::string& id, const LogsOptions& options,
               std::int64_t since_ms) {
  const client::InterruptScope interrupts;
  LogsOptions later = options;  // of the attempts that come
  later.tail.reset();
  std::optional<LineReader> reader;
  Instant last_answer = MonotonicNow();
  while (!client::Interrupted()) {
    const auto job = context.client.Get(client::JobTarget(id));
    if (job) {
      last_answer = MonotonicNow();
      const int current = static_cast<int>(IntAt(*job, "/attempt").value_or(0));
      const int wanted = options.attempt.value_or(current);
      const bool next = reader && reader->complete() && reader->attempt() != wanted;
      if (wanted > 0 && (!reader || next)) {
        const bool first = !reader;
        reader.emplace(context, id, wanted, first ? options : later, first ? since_ms : 0);
        reader->SetLabels(NeedsLabels(*job, wanted, options));
      }
      const bool advanced = reader && reader->Advance().has_value();
      const bool whole = !reader || (advanced && reader->complete() && reader->attempt() == wanted);
      if (IsFinalState(TextAt(*job, "/state")) && whole) break;
    } else if (MonotonicNow() - last_answer > EventWatch::kGrace) {
      return context.console.Complain(job.error());
    }
    client::Pause(kPoll);
  }
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
  std::int64_t since_ms = 0;
  if (!options.since.empty()) {
    const auto ago = ParseDuration(options.since);
    if (!ago) {
      context.console.Complain(Error{ErrorCode::kInvalid, "'" + options.since + "' is no duration",
                                     "--since", "write 60s, 10m or 1h30m"});
      return kUsage;
    }
    since_ms =
        WallNow().unix_ms - std::chrono::duration_cast<std::chrono::milliseconds>(*ago).count();
  }
  const auto job = context.client.Get(client::JobTarget(options.job));
  if (!job) return context.console.Complain(job.error());
  const std::string id = TextAt(*job, "/id");
  if (options.follow) return FollowLogs(context, id, options, since_ms);
  const int attempt =
      options.attempt.value_or(static_cast<int>(IntAt(*job, "/attempt").value_or(0)));
  if (attempt == 0) {
    context.console.Note("no output yet: " + id + " is " + TextAt(*job, "/state"));
    return kOk;
  }
  LineReader reader(context, id, attempt, options, since_ms);
  reader.SetLabels(NeedsLabels(*job, attempt, options));
  if (const auto all = reader.Advance(); !all) return context.console.Complain(all.error());
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
