// Checkpoints: what there are, whether they are good, and making room.
#include "common/base/units.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/table.h"
#include "jobs/cli/text.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

constexpr Duration kBytesTimeout = std::chrono::minutes(31);
constexpr int kCheckpointPage = 200;

std::string SizeText(const json& value, const char* pointer) {
  const auto bytes = IntAt(value, pointer);
  return bytes ? FormatBytes(Bytes{*bytes}) : std::string("?");
}

std::string StepsOf(const json& list) {
  std::string text;
  for (const json& each : list) text += (text.empty() ? "" : ", ") + TextAt(each, "/step");
  return text.empty() ? "none" : text;
}

// Ids of the jobs that committed checkpoints, newest first.
client::Answer<std::vector<std::string>> JobsWithCheckpoints(Context& context) {
  std::vector<std::string> ids;
  std::string before;
  for (;;) {
    std::string target = "/api/v1/jobs?all=1&limit=" + std::to_string(kCheckpointPage);
    if (!before.empty()) target += "&before=" + before;
    const auto page = context.client.Get(target);
    if (!page) return tl::unexpected(page.error());
    for (const json& job : ListAt(*page, "/data")) {
      if (!ListAt(job, "/checkpoints").empty()) ids.push_back(TextAt(job, "/id"));
    }
    before = TextAt(*page, "/next");
    if (before.empty()) return ids;
  }
}

void TellCollected(Console& console, const json& collected, bool dry_run) {
  const json& removed = ListAt(collected, "/removed");
  if (console.quiet()) {
    for (const json& each : removed) console.Out(TextAt(each, "/path"));
    return;
  }
  std::string text = TextAt(collected, "/job") + "  ";
  const std::int64_t leftovers = IntAt(collected, "/leftovers").value_or(0);
  if (removed.empty() && leftovers == 0) {
    text += "nothing to remove";
  } else {
    text += (dry_run ? "would free " : "freed ") + SizeText(collected, "/freed_bytes") +
            ": steps " + StepsOf(removed);
    if (leftovers > 0) text += " and " + std::to_string(leftovers) + " unfinished files";
  }
  console.Out(text + "; kept: " + StepsOf(ListAt(collected, "/kept")));
}

}  // namespace

int CheckpointList(Context& context, const std::string& job) {
  const auto answer = context.client.Get(client::JobTarget(job, "/checkpoints"),
                                         {.timeout = std::chrono::minutes(2)});
  if (!answer) return context.console.Complain(answer.error());
  Console& console = context.console;
  if (console.json()) {
    console.OutJson(*answer);
    return kOk;
  }
  std::vector<Row> rows;
  for (const json& each : ListAt(*answer, "/data")) {
    if (console.quiet()) console.Out(TextAt(each, "/step"));
    const std::string age = Age(TextAt(each, "/committed_at"), WallNow());
    rows.push_back({TextAt(each, "/step"), TextAt(each, "/attempt"), SizeText(each, "/size_bytes"),
                    age.empty() ? "?" : age + " ago", TextAt(each, "/path")});
  }
  if (console.quiet()) return kOk;
  if (rows.empty()) {
    console.Note("no checkpoints on disk");
    return kOk;
  }
  console.OutRaw(RenderTable(
      {{"STEP", true}, {"ATTEMPT", true}, {"SIZE", true}, {"COMMITTED"}, {"PATH", false, 20}}, rows,
      console.out_width(), console.out_color()));
  return kOk;
}

int CheckpointVerify(Context& context, const std::string& job, std::optional<int> step) {
  json body = json::object();
  if (step) body["step"] = *step;
  const auto answer = context.client.Post(client::JobTarget(job, "/checkpoints/verify"), body,
                                          {.timeout = kBytesTimeout});
  if (!answer) return context.console.Complain(answer.error());
  Console& console = context.console;
  bool good = true;
  for (const json& each : ListAt(*answer, "/data")) {
    const bool ok = At(each, "/ok") == json(true);
    good = good && ok;
    if (console.json()) continue;
    if (console.quiet()) {
      if (!ok) console.Out(TextAt(each, "/step"));
      continue;
    }
    const Paint paint = ok ? Paint::kGreen : Paint::kRed;
    console.Out(Painted(ok ? "good" : "BAD ", paint, console.out_color()) + "  step " +
                TextAt(each, "/step") + "  " +
                (ok ? SizeText(each, "/size_bytes") + "  " + TextAt(each, "/path")
                    : OneLine(TextAt(each, "/message"))));
  }
  if (console.json()) console.OutJson(*answer);
  if (ListAt(*answer, "/data").empty()) console.Note("no checkpoints on disk");
  return good ? kOk : kJobFailed;
}

int CheckpointGc(Context& context, const GcOptions& options) {
  Console& console = context.console;
  std::vector<std::string> jobs = {options.job};
  if (options.job.empty()) {
    auto all = JobsWithCheckpoints(context);
    if (!all) return console.Complain(all.error());
    jobs = std::move(*all);
  }
  json data = json::array();
  std::int64_t freed = 0;
  int exit = kOk;
  for (const std::string& job : jobs) {
    const auto answer = context.client.Post(client::JobTarget(job, "/checkpoints/gc"),
                                            {{"keep", options.keep}, {"dry_run", options.dry_run}},
                                            {.timeout = kBytesTimeout});
    if (!answer) {
      const int failed = console.Complain(answer.error());
      if (exit == kOk) exit = failed;
      continue;
    }
    freed += IntAt(*answer, "/freed_bytes").value_or(0);
    const bool anything = IntAt(*answer, "/freed_bytes").value_or(0) > 0;
    if (!console.json() && (anything || !options.job.empty())) {
      TellCollected(console, *answer, options.dry_run);
    }
    data.push_back(*answer);
  }
  if (console.json()) {
    console.OutJson({{"data", std::move(data)}, {"freed_bytes", freed}});
  } else if (options.job.empty()) {
    console.Note((options.dry_run ? "would free " : "freed ") + FormatBytes(Bytes{freed}) + " in " +
                 std::to_string(jobs.size()) + (jobs.size() == 1 ? " job" : " jobs"));
  }
  return exit;
}

}  // namespace tutti::cli
