// The cluster's workers: looking at them, emptying them.
#include "common/base/units.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/table.h"
#include "jobs/cli/text.h"
#include "jobs/client/interrupt.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

constexpr Duration kLookEvery = std::chrono::milliseconds(500);
constexpr Duration kWorkerReturn = std::chrono::seconds(15);

std::string WorkerTarget(const std::string& worker, const std::string& suffix = "") {
  return "/api/v1/workers/" + httpclient::EncodeSegment(worker) + suffix;
}

bool IsEmpty(const json& worker) {
  return IntAt(worker, "/slots_used").value_or(0) == 0 && ListAt(worker, "/gangs").empty();
}

std::string GangsText(const json& worker) {
  std::string text;
  for (const json& gang : ListAt(worker, "/gangs")) {
    text += (text.empty() ? "" : ", ") + TextAt(gang, "/job");
  }
  return text;
}

// Until the worker runs nothing any more: its object; kTimeout when that took too long.
client::Answer<json> AwaitEmpty(Context& context, json worker, std::optional<Instant> deadline) {
  const std::string name = TextAt(worker, "/name");
  while (!IsEmpty(worker)) {
    if (client::Interrupted()) {
      return client::Fails({ErrorCode::kTimeout, "interrupted; it goes on draining", name,
                            "wait again: tutti worker drain " + name + " --wait"});
    }
    if (deadline && MonotonicNow() >= *deadline) {
      return client::Fails({ErrorCode::kTimeout, "still runs " + GangsText(worker), name,
                            "it goes on draining; see tutti worker list"});
    }
    client::Pause(kLookEvery);
    auto seen = context.client.Get(WorkerTarget(name), {.retry_for = kWorkerReturn});
    if (!seen) return seen;
    worker = std::move(*seen);
  }
  return worker;
}

void Tell(Context& context, const json& worker) {
  Console& console = context.console;
  const std::string name = TextAt(worker, "/name");
  if (console.json()) {
    console.OutJson(worker);
  } else if (console.quiet()) {
    console.Out(name);
  } else if (At(worker, "/draining") != json(true)) {
    console.Out(OneLine(name) + "  takes jobs again");
  } else {
    console.Out(OneLine(name) + "  " +
                (IsEmpty(worker) ? "is empty" : "drains: " + GangsText(worker)));
  }
}

}  // namespace

int WorkerList(Context& context) {
  const auto workers = context.client.Get("/api/v1/workers");
  if (!workers) return context.console.Complain(workers.error());
  Console& console = context.console;
  if (console.json()) {
    console.OutJson(*workers);
    return kOk;
  }
  std::vector<Row> rows;
  bool any_gpus = false;
  for (const json& worker : ListAt(*workers, "/data")) {
    if (console.quiet()) console.Out(TextAt(worker, "/name"));
    const std::string state = TextAt(worker, "/state");
    const bool draining = At(worker, "/draining") == json(true);
    any_gpus = any_gpus || IntAt(worker, "/gpus").value_or(0) > 0;
    std::string jobs;
    for (const json& gang : ListAt(worker, "/gangs")) {
      jobs += (jobs.empty() ? "" : ", ") + TextAt(gang, "/job") + " ×" +
              std::to_string(IntAt(gang, "/ranks").value_or(0));
    }
    const auto memory = [&](const char* field) {
      const auto bytes = IntAt(worker, field);
      return bytes ? FormatBytes(Bytes{*bytes}) : std::string("?");
    };
    const auto used = [&](const char* part, const char* all) {
      return TextAt(worker, part) + "/" + TextAt(worker, all);
    };
    rows.push_back(
        {OneLine(TextAt(worker, "/name")),
         Cell(draining ? state + ", draining" : state, state == "up" ? Paint::kGreen : Paint::kRed),
         used("/slots_used", "/slots"), used("/gpus_used", "/gpus"),
         memory("/memory_bytes_used") + " of " + memory("/memory_bytes"),
         memory("/disk_free_bytes"), OneLine(TextAt(worker, "/cpu_model")),
         Age(TextAt(worker, "/last_seen_at"), WallNow()), jobs});
  }
  if (console.quiet()) return kOk;
  if (rows.empty()) {
    console.Note("no workers; start some with: tutti up");
    return kOk;
  }
  std::vector<Column> columns{{"WORKER", false, 12},
                              {"STATE"},
                              {"SLOTS"},
                              {"GPUS"},
                              {"MEMORY", false, 0, 4},
                              {"DISK FREE", false, 0, 3},
                              {"CPU", false, 12, 1},
                              {"SEEN", true, 0, 2},
                              {"JOBS", false, 10, 5}};
  if (!any_gpus) {
    constexpr std::ptrdiff_t kGpus = 3;
    columns.erase(columns.begin() + kGpus);
    for (Row& row : rows) row.erase(row.begin() + kGpus);
  }
  console.OutRaw(RenderTable(columns, rows, console.out_width(), console.out_color()));
  return kOk;
}

int WorkerDrain(Context& context, const DrainOptions& options) {
  Console& console = context.console;
  std::optional<Instant> deadline;
  if (!options.timeout.empty()) {
    const auto timeout = ParseDuration(options.timeout);
    if (!timeout) {
      console.Complain(Error{ErrorCode::kInvalid, "'" + options.timeout + "' is no duration",
                             "--timeout", "write 60s, 10m or 1h30m"});
      return kUsage;
    }
    deadline = MonotonicNow() + *timeout;
  }
  // All are told first: they empty at the same time, and none fills from another.
  int exit = kOk;
  std::vector<json> draining;
  for (const std::string& name : options.workers) {
    auto worker = context.client.Post(WorkerTarget(name, "/drain"), json::object());
    if (worker) {
      draining.push_back(std::move(*worker));
    } else if (const int failed = console.Complain(worker.error()); exit == kOk) {
      exit = failed;
    }
  }
  const client::InterruptScope interrupts;
  for (json& worker : draining) {
    if (options.wait && !IsEmpty(worker)) {
      if (!console.json()) console.Note("waiting for " + GangsText(worker) + " to checkpoint");
      auto empty = AwaitEmpty(context, std::move(worker), deadline);
      if (!empty) {
        const int failed = console.Complain(empty.error());
        return client::Interrupted() ? static_cast<int>(kInterrupted) : failed;
      }
      worker = std::move(*empty);
    }
    Tell(context, worker);
  }
  return exit;
}

int WorkerUndrain(Context& context, const std::vector<std::string>& workers) {
  int exit = kOk;
  for (const std::string& name : workers) {
    const auto worker = context.client.Post(WorkerTarget(name, "/undrain"), json::object());
    if (worker) {
      Tell(context, *worker);
    } else if (const int failed = context.console.Complain(worker.error()); exit == kOk) {
      exit = failed;
    }
  }
  return exit;
}

// The string alone goes to stdout: tutti worker --join "$(tutti worker token)".
int WorkerToken(Context& context, const WorkerTokenOptions& options) {
  Console& console = context.console;
  const auto lifetime = ParseDuration(options.expires);
  if (!lifetime) {
    console.Complain(Error{ErrorCode::kInvalid, "'" + options.expires + "' is no time", "--expires",
                           "write it like 30m, 24h or 7d"});
    return kUsage;
  }
  json body = {
      {"lifetime_ms", std::chrono::duration_cast<std::chrono::milliseconds>(*lifetime).count()}};
  if (!options.name.empty()) body["name"] = options.name;
  const auto made = context.client.Post("/api/v1/worker-tokens", body);
  if (!made) return console.Complain(made.error());
  if (console.json()) {
    console.OutJson(*made);
    return kOk;
  }
  console.Out(TextAt(*made, "/join"));
  const std::string http = TextAt(*made, "/http");
  console.Note("on the other machine: tutti worker --join STRING; it works once, until " +
               TextAt(*made, "/expires_at"));
  const std::string host = http.substr(http.find("//") + 2);
  if (host.starts_with("127.") || host.starts_with("[::1]") || host.starts_with("localhost")) {
    console.Note("but " + http +
                 " is this machine's loopback: other machines cannot reach it. "
                 "Start the cluster with: tutti up --http 0.0.0.0:7717");
  }
  return kOk;
}

int WorkerRemove(Context& context, const std::vector<std::string>& workers) {
  Console& console = context.console;
  int exit = kOk;
  for (const std::string& name : workers) {
    const auto removed = context.client.Post(WorkerTarget(name, "/remove"), json::object());
    if (!removed) {
      if (const int failed = console.Complain(removed.error()); exit == kOk) exit = failed;
    } else if (console.json()) {
      console.OutJson(*removed);
    } else {
      console.Note(OneLine(name) + " is removed: it stops, and joins again only with a new string");
    }
  }
  return exit;
}

}  // namespace tutti::cli
