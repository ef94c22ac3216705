// `tutti top`: the cluster live on the whole screen, or once as text.
#include <algorithm>

#include "jobs/cli/commands.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/screen.h"
#include "jobs/cli/top_text.h"
#include "jobs/client/interrupt.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

constexpr int kTextWidth = 100;
constexpr int kJobsPage = 200;
constexpr std::size_t kWaitingMax = 1000;  // that are shown; all of them are counted
constexpr const char* kWaitingStates = "validating,queued,paused";
constexpr Duration kPatience = std::chrono::seconds(2);

struct Look {
  json cluster = json::object();
  json workers = json::array();
  json jobs = json::array();
  Instant at;
};

// Those in these states, newest first.
client::Answer<json> Jobs(Context& context, const char* states, std::size_t max) {
  json jobs = json::array();
  std::string before;
  while (jobs.size() < max) {
    std::string target = "/api/v1/jobs?limit=" + std::to_string(kJobsPage) + "&state=" + states;
    if (!before.empty()) target += "&before=" + before;
    auto page = context.client.Get(target, {.timeout = kPatience});
    if (!page) return page;
    for (const json& job : ListAt(*page, "/data")) jobs.push_back(job);
    before = TextAt(*page, "/next");
    if (before.empty() || ListAt(*page, "/data").empty()) break;
  }
  return jobs;
}

client::Answer<Look> Fetch(Context& context) {
  Look look;
  const client::CallOptions call{.timeout = kPatience};
  auto cluster = context.client.Get("/api/v1/cluster", call);
  if (!cluster) return client::Fails(cluster.error().front());
  auto workers = context.client.Get("/api/v1/workers", call);
  if (!workers) return client::Fails(workers.error().front());
  auto jobs = Jobs(context, kHoldingStates, kWaitingMax);
  if (!jobs) return client::Fails(jobs.error().front());
  const auto waiting = Jobs(context, kWaitingStates, kWaitingMax);
  if (!waiting) return client::Fails(waiting.error().front());
  look.cluster = *std::move(cluster);
  look.workers = ListAt(*workers, "/data");
  look.jobs = *std::move(jobs);
  for (const json& job : *waiting) look.jobs.push_back(job);
  look.at = MonotonicNow();
  return look;
}

TopView ViewOf(Context& context, const Look& look) {
  TopView view{.cluster = look.cluster, .workers = look.workers, .jobs = look.jobs};
  if (const auto endpoint = context.client.endpoint()) view.url = endpoint->url.ToString();
  view.now = WallNow();
  return view;
}

int Once(Context& context) {
  Console& console = context.console;
  const auto look = Fetch(context);
  if (!look) return console.Complain(look.error());
  if (console.json()) {
    console.OutJson({{"cluster", look->cluster}, {"workers", look->workers}, {"jobs", look->jobs}});
    return kOk;
  }
  const int width = console.out_width();
  for (const std::string& line :
       RenderTop(ViewOf(context, *look), {.width = width > 0 ? width : kTextWidth,
                                         .color = console.out_color(),
                                         .unicode = console.unicode()})) {
    console.Out(line);
  }
  return kOk;
}

int Scrolled(Screen::Key key, int scroll, int page) {
  switch (key) {
    case Screen::Key::kUp:
      return scroll - 1;
    case Screen::Key::kDown:
      return scroll + 1;
    case Screen::Key::kPageUp:
      return scroll - page;
    case Screen::Key::kPageDown:
      return scroll + page;
    case Screen::Key::kFirst:
      return 0;
    case Screen::Key::kLast:
      return static_cast<int>(2 * kWaitingMax);
    case Screen::Key::kQuit:
    case Screen::Key::kOther:
      return scroll;
  }
  return scroll;
}

// Until q or Ctrl-C. What was seen last stays while nobody answers.
int Live(Context& context, Duration every, Look look) {
  const client::InterruptScope interrupt;
  auto screen = Screen::Open();
  if (!screen) return context.console.Complain(screen.error());
  std::map<std::string, double> busy;
  std::string problem;
  int scroll = 0;
  Instant next = look.at + every;
  while (!client::Interrupted()) {
    TopView view = ViewOf(context, look);
    view.busy = busy;
    view.problem = problem;
    const Screen::Size size = (*screen)->size();
    TopLook shown{.width = size.width,
                  .height = size.height,
                  .color = context.console.out_color(),
                  .unicode = context.console.unicode()};
    scroll = shown.scroll = std::clamp(scroll, 0, ScrollMax(view, shown));
    (*screen)->Draw(RenderTop(view, shown));
    const auto key = (*screen)->Await(next - MonotonicNow(), client::InterruptFd());
    if (key == Screen::Key::kQuit) return kOk;
    if (key) scroll = Scrolled(*key, scroll, size.height / 2);
    if (MonotonicNow() < next) continue;
    auto fresh = Fetch(context);
    if (fresh) {
      const double seconds = std::chrono::duration<double>(fresh->at - look.at).count();
      busy = BusyBetween(look.workers, fresh->workers, seconds);
      look = *std::move(fresh);
      problem.clear();
    } else {
      // It may come back under another address.
      context.client.Forget();
      problem = fresh.error().front().ToString() + "; trying again";
    }
    next = MonotonicNow() + every;
  }
  return kInterrupted;
}

}  // namespace

int Top(Context& context, const TopOptions& options) {
  Console& console = context.console;
  const auto every = ParseDuration(options.every);
  if (!every || *every < std::chrono::milliseconds(100)) {
    console.Complain(Error{ErrorCode::kInvalid,
                           "'" + options.every + "' is no time of 100ms or more", "--every",
                           "write it like 2s"});
    return kUsage;
  }
  const bool live =
      !options.once && !console.json() && console.in_terminal() && console.out_width() > 0;
  if (!live) return Once(context);
  auto look = Fetch(context);
  if (!look) return console.Complain(look.error());
  return Live(context, *every, *std::move(look));
}

}  // namespace tutti::cli
