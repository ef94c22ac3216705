// Looking at jobs and steering them.
#include "jobs/cli/commands.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/follow.h"
#include "jobs/cli/follow_state.h"
#include "jobs/cli/job_text.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/table.h"
#include "jobs/cli/text.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

constexpr int kPage = 200;
// A coordinator that is being restarted is waited for, where something restarts it.
constexpr Duration kReturn = std::chrono::seconds(15);

// Prints a job after something was done to it.
void Tell(Context& context, const json& job, const std::string& what) {
  Console& console = context.console;
  if (console.json()) {
    console.OutJson(job);
  } else if (console.quiet()) {
    console.Out(TextAt(job, "/id"));
  } else {
    console.Out(TextAt(job, "/id") + "  " + OneLine(TextAt(job, "/name")) + "  " + what);
  }
}

client::Answer<json> AllJobs(Context& context, const PsOptions& options) {
  json jobs = json::array();
  std::string before;
  for (;;) {
    std::string target = "/api/v1/jobs?limit=" + std::to_string(kPage);
    if (options.all || !options.state.empty() || !options.name.empty()) target += "&all=1";
    if (!options.state.empty()) target += "&state=" + httpclient::EncodeSegment(options.state);
    if (!options.name.empty()) target += "&name=" + httpclient::EncodeSegment(options.name);
    if (!before.empty()) target += "&before=" + before;
    auto page = context.client.Get(target);
    if (!page) return page;
    for (const json& job : ListAt(*page, "/data")) {
      jobs.push_back(job);
      if (options.limit > 0 && static_cast<int>(jobs.size()) == options.limit) return jobs;
    }
    before = TextAt(*page, "/next");
    if (before.empty() || ListAt(*page, "/data").empty()) return jobs;
  }
}

// What a person can do about a waiting job.
std::string AdviceFor(const std::string& reason, const std::string& message,
                      const std::string& id) {
  if (reason == "held") return "release it: tutti resume " + id;
  if (reason == "pool_down") {
    return "tutti worker list; one that drains: tutti worker undrain NAME; else: tutti doctor";
  }
  if (reason == "disk_full" || message.find("disk") != std::string::npos) {
    return "make room (tutti checkpoint gc), or keep fewer: training.save_total_limit";
  }
  if (reason == "resources" || reason == "fragmentation") {
    return "what runs now: tutti ps; fewer ranks: resources.ranks in the spec";
  }
  if (reason == "priority") return "what goes first: tutti ps";
  if (reason == "numerics") {
    return "a worker with the CPU and engine of its earlier attempts will do; to go on without: "
           "tutti resume " +
           id + " --any-cpu";
  }
  if (reason == "dependency") return "it waits for the jobs of schedule.depends_on";
  if (reason == "quota") return "its queue's share is in use: tutti queue list";
  if (reason == "data") return "correct the data and submit again";
  if (reason == "oom") return "a smaller training.micro_batch_size needs less memory";
  if (reason == "crash" || reason == "hang" || reason == "numeric" || reason == "internal") {
    return "its output: tutti logs " + id;
  }
  return {};
}

std::string MissingText(const json& job) {
  const auto slots = IntAt(job, "/pending/missing_slots");
  if (!slots) return {};
  const auto gpus = IntAt(job, "/pending/missing_gpus").value_or(0);
  const auto counted = [](std::int64_t count, const char* one) {
    return std::to_string(count) + one + (count == 1 ? "" : "s");
  };
  if (*slots == 0 && gpus == 0) return "none: enough slots are free";
  if (gpus == 0) return counted(*slots, " slot");
  return (*slots == 0 ? "" : counted(*slots, " slot") + " and ") + counted(gpus, " GPU");
}

std::string AheadText(const json& job) {
  const auto ahead = IntAt(job, "/pending/jobs_ahead");
  if (!ahead) return {};
  if (*ahead == 0) return "nobody: it is the first in the queue";
  return std::to_string(*ahead) + (*ahead == 1 ? " job" : " jobs");
}

}  // namespace

int Ps(Context& context, const PsOptions& options) {
  const auto jobs = AllJobs(context, options);
  if (!jobs) return context.console.Complain(jobs.error());
  Console& console = context.console;
  if (console.json()) {
    console.OutJson({{"data", *jobs}});
  } else if (console.quiet()) {
    for (const json& job : *jobs) console.Out(TextAt(job, "/id"));
  } else if (jobs->empty()) {
    console.Note(options.all ? "no jobs" : "no jobs of late; older ones: tutti ps --all");
  } else {
    console.OutRaw(RenderJobs(*jobs, WallNow(), console.out_width(), console.out_color()));
  }
  return kOk;
}

int Show(Context& context, const ShowOptions& options) {
  auto job = context.client.Get(client::JobTarget(options.job));
  if (!job) return context.console.Complain(job.error());
  if (options.samples) return ShowSamples(context, *std::move(job));
  if (options.plot || !options.curves.empty()) return ShowPlots(context, *std::move(job), options);
  Console& console = context.console;
  if (console.json()) {
    console.OutJson(*job);
  } else if (console.quiet()) {
    console.Out(TextAt(*job, "/id"));
  } else {
    console.OutRaw(RenderJob(*job, WallNow(), console.out_width(), console.out_color()));
    console.OutRaw(NewestSamples(context, *job));
  }
  return kOk;
}

int Why(Context& context, const std::string& name) {
  const auto job = context.client.Get(client::JobTarget(name));
  if (!job) return context.console.Complain(job.error());
  const std::string id = TextAt(*job, "/id");
  const std::string state = TextAt(*job, "/state");
  const std::string reason = TextAt(*job, "/reason");
  const std::string advice = AdviceFor(reason, TextAt(*job, "/message"), id);
  const auto cluster = context.client.Get("/api/v1/cluster");
  std::string slots;
  if (cluster) {
    slots = TextAt(*cluster, "/slots/used") + " of " + TextAt(*cluster, "/slots/total") + " in use";
  }
  Console& console = context.console;
  if (console.json()) {
    console.OutJson({{"id", id},
                     {"state", state},
                     {"pending", At(*job, "/pending")},
                     {"start_at", At(*job, "/estimate/start_at")},
                     {"start_at_earliest", At(*job, "/estimate/start_at_earliest")},
                     {"start_at_latest", At(*job, "/estimate/start_at_latest")},
                     {"end_at", At(*job, "/estimate/end_at")},
                     {"reason", At(*job, "/reason")},
                     {"message", At(*job, "/message")},
                     {"advice", advice.empty() ? json() : json(advice)}});
    return kOk;
  }
  console.OutRaw(RenderFields({{"job", id + "  " + OneLine(TextAt(*job, "/name"))},
                               {"state", Painted(state, PaintOfState(state), console.out_color()) +
                                             " for " + Age(TextAt(*job, "/since"), WallNow())},
                               {"reason", reason},
                               {"", OneLine(TextAt(*job, "/message"))},
                               {"ranks", RanksText(*job)},
                               {"slots", slots},
                               {"missing", MissingText(*job)},
                               {"ahead", AheadText(*job)},
                               {"starts", StartText(*job, WallNow())},
                               {"ends", EndText(*job, WallNow())},
                               {"would help", HelpsText(*job)},
                               {"what to do", advice}},
                              console.out_color()));
  return kOk;
}

int Wait(Context& context, const WaitOptions& options) {
  FollowOptions follow;
  if (!options.timeout.empty()) {
    follow.timeout = ParseDuration(options.timeout);
    if (!follow.timeout) {
      context.console.Complain(Error{ErrorCode::kInvalid,
                                     "'" + options.timeout + "' is no duration", "--timeout",
                                     "write 60s, 10m or 1h30m"});
      return kUsage;
    }
  }
  const Duration retry = context.client.MayReturn() ? kReturn : Duration::zero();
  const auto job = context.client.Get(client::JobTarget(options.job), {.retry_for = retry});
  if (!job) return context.console.Complain(job.error());
  follow.job = TextAt(*job, "/id");
  if (IsFinalState(TextAt(*job, "/state"))) {
    FollowState state;
    state.TakeJob(*job, WallNow());
    if (context.console.json()) {
      context.console.OutJson(*job);
    } else if (!context.console.quiet()) {
      context.console.OutRaw(state.Summary(context.console.out_color()));
    }
    return ExitOfJob(*job);
  }
  follow.quiet = context.console.json() || !context.console.err_terminal();
  return Follow(context, follow);
}

int Act(Context& context, const std::string& action, const std::vector<std::string>& jobs) {
  int exit = kOk;
  for (const std::string& name : jobs) {
    const auto job = context.client.Post(client::JobTarget(name, "/" + action), json::object());
    if (job) {
      Tell(context, *job, TextAt(*job, "/state"));
    } else if (const int failed = context.console.Complain(job.error()); exit == kOk) {
      exit = failed;
    }
  }
  return exit;
}

int Resume(Context& context, const ResumeOptions& options) {
  json body = json::object();
  if (options.ranks) body["ranks"] = *options.ranks;
  if (options.any_cpu) body["any_cpu"] = true;
  const auto job = context.client.Post(client::JobTarget(options.job, "/resume"), body);
  if (!job) return context.console.Complain(job.error());
  Tell(context, *job, TextAt(*job, "/state"));
  return kOk;
}

int Resize(Context& context, const std::string& name, int ranks) {
  const auto job = context.client.Post(client::JobTarget(name, "/resize"), {{"ranks", ranks}});
  if (!job) return context.console.Complain(job.error());
  Tell(context, *job, TextAt(*job, "/state") + ", " + std::to_string(ranks) + " ranks wanted");
  return kOk;
}

}  // namespace tutti::cli
