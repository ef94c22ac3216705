// `tutti queue list|set`, `tutti usage`: how the cluster is shared, and who used what.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <set>

#include "common/httpclient/http.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/table.h"
#include "jobs/cli/text.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

std::string Limit(const json& queue, const char* field) {
  const auto found = queue.find(field);
  return found == queue.end() || found->is_null() ? "-" : found->dump();
}

// Whether any of the rows has one of these fields, other than 0.
bool Any(const json& rows, std::initializer_list<const char*> fields) {
  const auto has = [&](const json& row) {
    return std::any_of(fields.begin(), fields.end(), [&](const char* field) {
      const auto found = row.find(field);
      return found != row.end() && found->is_number() && found->get<double>() > 0;
    });
  };
  return std::any_of(rows.begin(), rows.end(), has);
}

void Append(Row& row, const Row& more) { row.insert(row.end(), more.begin(), more.end()); }

void PrintQueues(Console& console, const json& queues) {
  if (console.json()) return console.OutJson(queues);
  const json& list = ListAt(queues, "/data");
  // Where nobody has to do with GPUs nothing is said of them.
  const bool gpus = Any(list, {"gpus_used", "gpus", "gpus_max", "user_gpus"});
  std::vector<Row> rows;
  for (const json& queue : list) {
    if (console.quiet()) console.Out(TextAt(queue, "/name"));
    Row row{OneLine(TextAt(queue, "/name")), TextAt(queue, "/queued"), TextAt(queue, "/running"),
            TextAt(queue, "/slots_used"),    Limit(queue, "slots"),    Limit(queue, "slots_max"),
            Limit(queue, "user_slots")};
    if (gpus) {
      Append(row, {TextAt(queue, "/gpus_used"), Limit(queue, "gpus"), Limit(queue, "gpus_max"),
                   Limit(queue, "user_gpus")});
    }
    Append(row, {Limit(queue, "weight"), OneLine(TextAt(queue, "/parent"))});
    rows.push_back(std::move(row));
  }
  if (console.quiet()) return;
  std::vector<Column> columns{{"QUEUE", false, 12}, {"QUEUED", true}, {"RUNNING", true},
                              {"SLOTS USED", true}, {"OWN", true},    {"MAX", true},
                              {"A USER", true}};
  if (gpus) {
    for (const char* title : {"GPUS USED", "GPUS OWN", "GPUS MAX", "GPUS A USER"})
      columns.push_back({title, true});
  }
  columns.push_back({"WEIGHT", true});
  columns.push_back({"PART OF", false, 8});
  console.OutRaw(RenderTable(columns, rows, console.out_width(), console.out_color()));
  console.Note("policy: " + TextAt(queues, "/policy"));
}

// weight=2.5 or slots=8 as a member of `body`.
Status ReadAssignment(const std::string& text, json& body) {
  const std::size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  static const std::set<std::string> kFields{"weight", "slots",    "slots_max", "user_slots",
                                             "gpus",   "gpus_max", "user_gpus", "parent"};
  if (equals == std::string::npos || !kFields.contains(name)) {
    return Fail(ErrorCode::kInvalid, "'" + text + "' sets nothing", "FIELD=VALUE",
                "fields are weight, slots, slots_max, user_slots, gpus, gpus_max, user_gpus and "
                "parent");
  }
  if (name == "parent") {
    body[name] = text.substr(equals + 1);
    return {};
  }
  const char* const begin = text.data() + equals + 1;
  const char* const end = text.data() + text.size();
  double value = 0;
  const auto read = std::from_chars(begin, end, value);
  const bool whole =
      value >= 0 && value < 1e12 && value == static_cast<double>(static_cast<std::int64_t>(value));
  if (read.ec != std::errc{} || read.ptr != end || (name != "weight" && !whole)) {
    return Fail(ErrorCode::kInvalid,
                "'" + text + "' needs a " + (name == "weight" ? "number" : "whole number"), name);
  }
  if (name == "weight") {
    body[name] = value;
  } else {
    body[name] = static_cast<std::int64_t>(value);
  }
  return {};
}

}  // namespace

int QueueList(Context& context) {
  const auto queues = context.client.Get("/api/v1/queues");
  if (!queues) return context.console.Complain(queues.error());
  PrintQueues(context.console, *queues);
  return kOk;
}

int QueueSet(Context& context, const QueueSetCommand& options) {
  Console& console = context.console;
  json body = json::object();
  for (const std::string& assignment : options.assignments) {
    if (const Status read = ReadAssignment(assignment, body); !read) {
      console.Complain(read.error());
      return kUsage;
    }
  }
  if (options.name.empty() && options.policy.empty()) {
    console.Complain(Error{ErrorCode::kInvalid, "nothing to set", "tutti queue set",
                           "tutti queue set NAME weight=2 slots=8, or --policy fair"});
    return kUsage;
  }
  json shown;
  if (!options.name.empty()) {
    const auto set =
        context.client.Post("/api/v1/queues/" + httpclient::EncodeSegment(options.name), body);
    if (!set) return console.Complain(set.error());
    shown = *set;
  }
  if (!options.policy.empty()) {
    const auto set = context.client.Post("/api/v1/policy", {{"policy", options.policy}});
    if (!set) return console.Complain(set.error());
    shown = *set;
  }
  PrintQueues(console, shown);
  return kOk;
}

int UsageList(Context& context, bool csv) {
  const auto usage = context.client.Get("/api/v1/usage");
  if (!usage) return context.console.Complain(usage.error());
  Console& console = context.console;
  if (console.json()) {
    console.OutJson(*usage);
    return kOk;
  }
  const json& list = ListAt(*usage, "/data");
  const bool gpus = Any(list, {"gpu_hours", "gpus_used"});
  const auto hours = [](const json& row, const char* field) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3f", row.value(field, 0.0));
    return std::string(text);
  };
  std::vector<Row> rows;
  if (csv) console.Out("queue,user,slot_hours,slots_used,gpu_hours,gpus_used");
  for (const json& each : list) {
    const std::string queue = OneLine(TextAt(each, "/queue"));
    const std::string user = OneLine(TextAt(each, "/user"));
    const std::string slot_hours = hours(each, "slot_hours");
    const std::string slots = TextAt(each, "/slots_used");
    const std::string gpu_hours = hours(each, "gpu_hours");
    const std::string held = std::to_string(IntAt(each, "/gpus_used").value_or(0));
    if (csv) {
      console.Out(queue + "," + user + "," + slot_hours + "," + slots + "," + gpu_hours + "," +
                  held);
    }
    Row row{queue, user, slot_hours, slots};
    if (gpus) Append(row, {gpu_hours, held});
    rows.push_back(std::move(row));
  }
  if (csv) return kOk;
  std::vector<Column> columns{
      {"QUEUE", false, 12}, {"USER", false, 12}, {"SLOT-HOURS", true}, {"SLOTS NOW", true}};
  if (gpus) {
    columns.push_back({"GPU-HOURS", true});
    columns.push_back({"GPUS NOW", true});
  }
  console.OutRaw(RenderTable(columns, rows, console.out_width(), console.out_color()));
  return kOk;
}

}  // namespace tutti::cli
