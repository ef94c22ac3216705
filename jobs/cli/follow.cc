#include "jobs/cli/follow.h"

#include <algorithm>

#include "jobs/cli/exit_codes.h"
#include "jobs/cli/follow_state.h"
#include "jobs/cli/job_text.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/text.h"
#include "jobs/cli/watch.h"
#include "jobs/client/interrupt.h"

namespace tutti::cli {
namespace {

using nlohmann::json;
using Kind = WatchItem::Kind;

constexpr Duration kSpin = std::chrono::milliseconds(100);  // redraws of a bar
constexpr Duration kAskWaiting = std::chrono::seconds(1);   // for the queue's reason
constexpr Duration kAskRunning = std::chrono::seconds(15);  // in case events were dropped
constexpr Duration kLastEvent = std::chrono::seconds(2);    // it follows the final state
constexpr Duration kFinalJob = std::chrono::seconds(30);

class Follower {
 public:
  Follower(Context& context, const FollowOptions& options)
      : context_(context),
        console_(context.console),
        options_(options),
        bar_(!options.quiet && !options.stream_json && !console_.quiet() &&
             console_.err_terminal() && context.env("TERM") != "dumb"),
        lines_(!options.quiet && !options.stream_json && !console_.quiet()),
        watch_(context.client, options.job) {}

  int Run();

 private:
  std::optional<int> Take(const WatchItem& item);
  void TakeEvent(const client::ServerEvent& event);
  void Ask();
  void Line(const std::string& text, Paint paint = Paint::kNone);
  void Draw();
  void Clear();
  Duration Patience() const;
  int Finish();
  int Detach();
  int TimedOut();

  Context& context_;
  Console& console_;
  const FollowOptions& options_;
  const bool bar_;
  const bool lines_;
  EventWatch watch_;
  FollowState state_;
  LinePacer pacer_;
  std::string waiting_said_;
  bool drawn_ = false;
  bool saw_last_event_ = false;
  Instant start_ = MonotonicNow();
  Instant ask_at_{};
  std::optional<Instant> finished_at_;
};

int Follower::Run() {
  const client::InterruptScope interrupts;
  for (;;) {
    if (auto exit = Take(watch_.Next(Patience()))) return *exit;
    const Instant now = MonotonicNow();
    if (saw_last_event_) return Finish();
    if (state_.finished()) {
      if (!finished_at_) finished_at_ = now;
      if (now - *finished_at_ > kLastEvent) return Finish();
    } else if (now >= ask_at_) {
      Ask();
    }
    if (options_.timeout && now - start_ > *options_.timeout) return TimedOut();
    Draw();
  }
}

Duration Follower::Patience() const {
  Duration patience = bar_ ? kSpin : kAskWaiting;
  const Instant now = MonotonicNow();
  if (options_.timeout) patience = std::min(patience, start_ + *options_.timeout - now);
  patience = std::min(patience, ask_at_ - now);
  return std::max(patience, Duration(std::chrono::milliseconds(1)));
}

std::optional<int> Follower::Take(const WatchItem& item) {
  switch (item.kind) {
    case Kind::kEvent:
      TakeEvent(item.event);
      return std::nullopt;
    case Kind::kQuiet:
      return std::nullopt;
    case Kind::kLost:
      Line("the coordinator is away; waiting for it to come back", Paint::kYellow);
      return std::nullopt;
    case Kind::kBack:
      Line("the coordinator is back");
      ask_at_ = {};
      return std::nullopt;
    case Kind::kGone:
      Clear();
      console_.Complain(item.error);
      console_.Note("the job may go on; look again with: tutti wait " + options_.job);
      return ExitOf(item.error.code);
    case Kind::kInterrupted:
      return Detach();
  }
  return std::nullopt;
}

void Follower::TakeEvent(const client::ServerEvent& event) {
  if (options_.stream_json) console_.Out(event.data);
  const json parsed = json::parse(event.data, nullptr, false);
  if (!parsed.is_object()) return;
  const auto line = state_.TakeEvent(parsed);
  const std::string type = TextAt(parsed, "/type");
  if (IsFinalEvent(type)) {
    saw_last_event_ = true;
  } else if (line) {
    const bool bad = type == "attempt_failed" || type == "warning";
    Line(*line, bad ? Paint::kYellow : type == "checkpoint" ? Paint::kDim : Paint::kNone);
    if (type != "eval" && type != "checkpoint" && type != "warning") ask_at_ = {};
  } else if (lines_ && !bar_ && type == "progress") {
    const double now = std::chrono::duration<double>(MonotonicNow() - start_).count();
    if (pacer_.Due(state_.progress(), now)) console_.Note(RenderLine(state_.progress()));
  }
}

// The job object: why it waits, and whether its end was missed.
void Follower::Ask() {
  auto job =
      context_.client.Get(client::JobTarget(options_.job), {.timeout = std::chrono::seconds(5)});
  if (job) {
    state_.TakeJob(*job, WallNow());
    const std::string waiting = state_.WaitingText();
    if (lines_ && !bar_ && !waiting.empty() && waiting != waiting_said_ && !state_.finished()) {
      console_.Note(state_.progress().name + ": " + waiting);
    }
    waiting_said_ = waiting;
  }
  const bool running = state_.progress().state == "running";
  ask_at_ = MonotonicNow() + (running ? kAskRunning : kAskWaiting);
}

void Follower::Line(const std::string& text, Paint paint) {
  if (!lines_) return;
  Clear();
  console_.Note(Painted(text, paint, console_.err_color()));
}

void Follower::Draw() {
  if (!bar_ || state_.progress().name.empty()) return;
  ProgressState& progress = state_.progress();
  progress.tick = static_cast<int>((MonotonicNow() - start_) / kSpin);
  // One column stays free: a full line would wrap.
  const ProgressStyle style{.width = std::max(10, console_.err_width() - 1),
                            .color = console_.err_color(),
                            .unicode = console_.unicode()};
  console_.ErrRaw("\r" + RenderBar(progress, style) + "\x1b[K");
  drawn_ = true;
}

void Follower::Clear() {
  if (drawn_) console_.ErrRaw("\r\x1b[K");
  drawn_ = false;
}

int Follower::Finish() {
  auto job = context_.client.Get(client::JobTarget(options_.job), {.retry_for = kFinalJob});
  Clear();
  if (!job) {
    return console_.Complain(job.error());
  }
  state_.TakeJob(*job, WallNow());
  if (console_.json()) {
    console_.OutJson(*job);
  } else if (console_.quiet()) {
    // The exit code says it.
  } else if (options_.summary) {
    console_.OutRaw(state_.Summary(console_.out_color()));
  } else {
    console_.Note(state_.progress().name + " " + TextAt(*job, "/state"));
  }
  if (options_.refused_is_validation && ExitOfFollowed(*job) == kValidation) {
    console_.Complain(Error{ErrorCode::kInvalid, TextAt(*job, "/message")});
    return kValidation;
  }
  return ExitOfJob(*job);
}

int Follower::Detach() {
  Clear();
  console_.Note("detached: " + options_.job + " goes on");
  console_.Note("  follow it again  tutti wait " + options_.job);
  console_.Note("  stop it          tutti cancel " + options_.job);
  return kInterrupted;
}

int Follower::TimedOut() {
  Clear();
  console_.Complain(
      Error{ErrorCode::kTimeout,
            options_.job + " is not finished after " + FormatDuration(*options_.timeout), "",
            "it goes on; its state: tutti show " + options_.job});
  return kTimeout;
}

}  // namespace

int Follow(Context& context, const FollowOptions& options) {
  return Follower(context, options).Run();
}

}  // namespace tutti::cli
