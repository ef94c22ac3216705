// What jobs' ranks wrote, and what happened to them.
#include <algorithm>
#include <array>
#include <list>
#include <map>
#include <set>

#include "jobs/cli/exit_codes.h"
#include "jobs/cli/follow_state.h"
#include "jobs/cli/job_text.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/several.h"
#include "jobs/cli/table.h"
#include "jobs/cli/text.h"
#include "jobs/cli/watch.h"
#include "jobs/client/interrupt.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

constexpr int kLines = 2000;  // of one answer
constexpr int kEventPage = 500;
constexpr Duration kPoll = std::chrono::milliseconds(300);
constexpr Duration kAskEvery = std::chrono::seconds(3);  // whether followed jobs have ended
constexpr Duration kAsk = std::chrono::seconds(5);

// Whose output it is.
struct Source {
  std::string id{};
  std::string state{};
  // Before each line, where there are several; "" = it is the only one.
  std::string label{};
  Paint paint = Paint::kNone;
};

// The output of an attempt's ranks, read on and on.
class LineReader {
 public:
  LineReader(Context& context, const Source& source, int attempt, const LogsOptions& options,
             std::int64_t since_ms)
      : context_(context),
        source_(source),
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
    std::string target = client::JobTarget(source_.id, "/logs/lines") +
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
    if (console.json()) {
      json shown = line;
      if (!source_.label.empty()) shown["job"] = source_.id;
      return console.OutJson(shown);
    }
    std::string text = Painted(source_.label, source_.paint, console.out_color());
    if (labels_) {
      text += Painted("[" + TextAt(line, "/rank") + "] ", Paint::kCyan, console.out_color());
    }
    if (options_.numbers) text += TextAt(line, "/number") + ":";
    console.OutRaw(text + TextAt(line, "/line") + "\n");
  }

  Context& context_;
  const Source source_;
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

// One job's output, attempt after attempt. Outlives the coordinator.
class LogFollower {
 public:
  LogFollower(Context& context, Source source, const LogsOptions& options, std::int64_t since_ms)
      : context_(context),
        source_(std::move(source)),
        first_(options),
        later_(options),
        since_ms_(since_ms) {
    later_.tail.reset();
  }

  const Source& source() const { return source_; }

  // Prints what is new. True: the job has finished, and all of it is printed. An error: nobody has
  // answered for too long.
  client::Answer<bool> Advance() {
    const auto job = context_.client.Get(client::JobTarget(source_.id));
    if (!job) {
      if (MonotonicNow() - last_answer_ > EventWatch::kGrace) return tl::unexpected(job.error());
      return false;
    }
    last_answer_ = MonotonicNow();
    source_.state = TextAt(*job, "/state");
    const int current = static_cast<int>(IntAt(*job, "/attempt").value_or(0));
    const int wanted = first_.attempt.value_or(current);
    const bool next = reader_ && reader_->complete() && reader_->attempt() != wanted;
    if (wanted > 0 && (!reader_ || next)) {
      const bool is_first = !reader_;
      reader_.emplace(context_, source_, wanted, is_first ? first_ : later_,
                      is_first ? since_ms_ : 0);
      reader_->SetLabels(NeedsLabels(*job, wanted, first_));
    }
    const bool advanced = reader_ && reader_->Advance().has_value();
    const bool whole =
        !reader_ || (advanced && reader_->complete() && reader_->attempt() == wanted);
    return IsFinalState(source_.state) && whole;
  }

 private:
  Context& context_;
  Source source_;
  const LogsOptions first_;
  LogsOptions later_;  // of the attempts that come
  const std::int64_t since_ms_;
  std::optional<LineReader> reader_;
  Instant last_answer_ = MonotonicNow();
};

// All of them at once, until each has ended.
int FollowLogs(Context& context, const std::vector<Source>& sources, const LogsOptions& options,
               std::int64_t since_ms) {
  const client::InterruptScope interrupts;
  std::list<LogFollower> followers;
  for (const Source& source : sources) followers.emplace_back(context, source, options, since_ms);
  for (;;) {
    for (auto one = followers.begin(); one != followers.end();) {
      if (client::Interrupted()) return kInterrupted;
      const auto done = one->Advance();
      if (!done) return context.console.Complain(done.error());
      if (*done && !one->source().label.empty()) {
        context.console.Note(one->source().label + one->source().state);
      }
      one = *done ? followers.erase(one) : std::next(one);
    }
    if (followers.empty()) return kOk;
    client::Pause(kPoll);
    if (client::Interrupted()) return kInterrupted;
  }
}

// One after the other, as far as they are.
int PrintLogs(Context& context, const std::vector<Source>& sources, const LogsOptions& options,
              std::int64_t since_ms) {
  for (const Source& source : sources) {
    const auto job = context.client.Get(client::JobTarget(source.id));
    if (!job) return context.console.Complain(job.error());
    const int attempt =
        options.attempt.value_or(static_cast<int>(IntAt(*job, "/attempt").value_or(0)));
    if (attempt == 0) {
      context.console.Note("no output yet: " + source.id + " is " + source.state);
      continue;
    }
    LineReader reader(context, source, attempt, options, since_ms);
    reader.SetLabels(NeedsLabels(*job, attempt, options));
    if (const auto all = reader.Advance(); !all) return context.console.Complain(all.error());
  }
  return kOk;
}

constexpr int kLabelWidthMax = 24;
constexpr std::array kLabelPaints = {Paint::kCyan, Paint::kGreen, Paint::kYellow, Paint::kBold};

// Each once, with a label when there are several: the name, or the id where others have that name.
client::Answer<std::vector<Source>> SourcesOf(Context& context,
                                              const std::vector<std::string>& jobs) {
  std::vector<Source> sources;
  std::map<std::string, int> named;
  for (const std::string& given : jobs) {
    const auto job = context.client.Get(client::JobTarget(given));
    if (!job) return tl::unexpected(job.error());
    const std::string id = TextAt(*job, "/id");
    const bool known = std::any_of(sources.begin(), sources.end(),
                                   [&](const Source& one) { return one.id == id; });
    if (known) continue;
    const std::string name = Fit(OneLine(TextAt(*job, "/name")), kLabelWidthMax);
    sources.push_back({.id = id, .state = TextAt(*job, "/state"), .label = name});
    ++named[name];
  }
  if (sources.size() == 1) sources.front().label.clear();
  int width = 0;
  for (Source& source : sources) {
    if (named[source.label] > 1) source.label = source.id;
    width = std::max(width, DisplayWidth(source.label));
  }
  for (std::size_t i = 0; i < sources.size() && sources.size() > 1; ++i) {
    sources[i].label = Pad(sources[i].label, width) + " | ";
    sources[i].paint = kLabelPaints[i % kLabelPaints.size()];
  }
  return sources;
}

void PrintEvent(Context& context, const json& event, bool with_job) {
  if (context.console.json()) return context.console.OutJson(event);
  const std::string job = with_job ? TextAt(event, "/job") + "  " : "";
  context.console.Out(TextAt(event, "/at") + "  " + job + EventText(event));
}

// Which of `jobs` have ended already.
void LeaveOutEnded(Context& context, std::set<std::string>& jobs) {
  for (auto one = jobs.begin(); one != jobs.end();) {
    const auto job = context.client.Get(client::JobTarget(*one), {.timeout = kAsk});
    const bool ended = job && IsFinalState(TextAt(*job, "/state"));
    one = ended ? jobs.erase(one) : std::next(one);
  }
}

// One job's from its first on; several's, or all (none named), from now on.
int FollowEvents(Context& context, std::set<std::string> jobs) {
  const client::InterruptScope interrupts;
  const bool one = jobs.size() == 1;
  const bool some = !jobs.empty();
  EventWatch watch(context.client, one ? *jobs.begin() : "");
  Instant ask_at = MonotonicNow() + kAskEvery;
  for (;;) {
    const WatchItem item = watch.Next(std::chrono::seconds(1));
    switch (item.kind) {
      case WatchItem::Kind::kEvent: {
        const json event = json::parse(item.event.data, nullptr, false);
        if (!event.is_object()) break;
        const std::string job = TextAt(event, "/job");
        if (some && !jobs.contains(job)) break;
        PrintEvent(context, event, !one);
        if (IsFinalEvent(TextAt(event, "/type"))) jobs.erase(job);
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
    // What ended before the stream was open is told by nobody.
    if (some && !one && MonotonicNow() >= ask_at) {
      LeaveOutEnded(context, jobs);
      ask_at = MonotonicNow() + kAskEvery;
    }
    if (some && jobs.empty()) return kOk;
  }
}

int PrintEvents(Context& context, const std::string& id, bool with_job) {
  std::string after = "0";
  for (;;) {
    const auto page = context.client.Get(client::JobTarget(id, "/events") + "?after=" + after +
                                         "&limit=" + std::to_string(kEventPage));
    if (!page) return context.console.Complain(page.error());
    for (const json& event : ListAt(*page, "/data")) PrintEvent(context, event, with_job);
    const std::string next = TextAt(*page, "/next");
    if (next.empty() || ListAt(*page, "/data").empty()) return kOk;
    after = next;
  }
}

}  // namespace

int LogsOf(Context& context, const std::vector<std::string>& jobs, const LogsOptions& options) {
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
  if (options.attempt && jobs.size() > 1) {
    context.console.Complain(Error{ErrorCode::kInvalid, "attempts are of one job", "--attempt",
                                   "name one job, or leave --attempt out"});
    return kUsage;
  }
  const auto sources = SourcesOf(context, jobs);
  if (!sources) return context.console.Complain(sources.error());
  return options.follow ? FollowLogs(context, *sources, options, since_ms)
                        : PrintLogs(context, *sources, options, since_ms);
}

int EventsOf(Context& context, const std::vector<std::string>& jobs, const EventsOptions& options) {
  std::vector<std::string> ids;
  for (const std::string& name : jobs) {
    const auto job = context.client.Get(client::JobTarget(name));
    if (!job) return context.console.Complain(job.error());
    ids.push_back(TextAt(*job, "/id"));
  }
  if (options.follow || ids.empty()) return FollowEvents(context, {ids.begin(), ids.end()});
  for (const std::string& id : ids) {
    if (const int exit = PrintEvents(context, id, ids.size() > 1); exit != kOk) return exit;
  }
  return kOk;
}

}  // namespace tutti::cli
