// `tutti queue list|set`, `tutti usage`: how the cluster is shared, and who used what.
#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>

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

void PrintQueues(Console& console, const json& queues) {
  if (console.json()) return console.OutJson(queues);
  std::vector<Row> rows;
  for (const json& queue : ListAt(queues, "/data")) {
    if (console.quiet()) console.Out(TextAt(queue, "/name"));
    rows.push_back({OneLine(TextAt(queue, "/name")), TextAt(queue, "/queued"),
                    TextAt(queue, "/running"), TextAt(queue, "/slots_used"), Limit(queue, "slots"),
                    Limit(queue, "slots_max"), Limit(queue, "user_slots"), Limit(queue, "weight"),
                    OneLine(TextAt(queue, "/parent"))});
  }
  if (console.quiet()) return;
  console.OutRaw(RenderTable({{"QUEUE", false, 12},
                              {"QUEUED", true},
                              {"RUNNING", true},
                              {"SLOTS USED", true},
                              {"OWN", true},
                              {"MAX", true},
                              {"A USER", true},
                              {"WEIGHT", true},
                              {"PART OF", false, 8}},
                             rows, console.out_width(), console.out_color()));
  console.Note("policy: " + TextAt(queues, "/policy"));
}

// weight=2.5 or slots=8 as a member of `body`.
Status ReadAssignment(const std::string& text, json& body) {
  const std::size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  const bool known = name == "weight" || name == "slots" || name == "slots_max" ||
                     name == "user_slots" || name == "parent";
  if (equals == std::string::npos || !known) {
    return Fail(ErrorCode::kInvalid, "'" + text + "' sets nothing", "FIELD=VALUE",
                "fields are weight, slots, slots_max, user_slots and parent");
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
  std::vector<Row> rows;
  if (csv) console.Out("queue,user,slot_hours,slots_used");
  for (const json& row : ListAt(*usage, "/data")) {
    char hours[32];
    std::snprintf(hours, sizeof hours, "%.3f", row.value("slot_hours", 0.0));
    const std::string queue = OneLine(TextAt(row, "/queue"));
    const std::string user = OneLine(TextAt(row, "/user"));
    const std::string slots = TextAt(row, "/slots_used");
    if (csv) console.Out(queue + "," + user + "," + hours + "," + slots);
    rows.push_back({queue, user, std::string(hours), slots});
  }
  if (!csv) {
    console.OutRaw(RenderTable(
        {{"QUEUE", false, 12}, {"USER", false, 12}, {"SLOT-HOURS", true}, {"SLOTS NOW", true}},
        rows, console.out_width(), console.out_color()));
  }
  return kOk;
}

}  // namespace tutti::cli
