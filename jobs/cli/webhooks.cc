// Webhooks of the cluster: made, listed, tried, deleted; the secret of one's own jobs'.
#include "common/base/time.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/table.h"
#include "jobs/cli/text.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

std::string Target(const std::string& webhook, const char* suffix = "") {
  return "/api/v1/webhooks/" + httpclient::EncodeSegment(webhook) + suffix;
}

std::string StatesText(const json& states) {
  std::string text;
  for (const json& state : states) {
    if (state.is_string()) text += (text.empty() ? "" : ",") + state.get<std::string>();
  }
  return text;
}

Cell LastOf(const json& webhook, WallTime now) {
  const json& last = At(webhook, "/last");
  if (!last.is_object()) return Cell("none yet");
  const std::string age = Age(TextAt(last, "/at"), now);
  const std::string error = OneLine(TextAt(last, "/error"));
  if (error.empty()) return Cell("taken " + age + " ago", Paint::kGreen);
  return Cell(age + " ago: " + error, Paint::kRed);
}

}  // namespace

// The secret alone goes to stdout, as a token does.
int WebhookCreate(Context& context, const WebhookOptions& options) {
  Console& console = context.console;
  json body = {{"url", options.url}};
  if (!options.name.empty()) body["name"] = options.name;
  if (!options.on.empty()) body["on"] = options.on;
  const auto made = context.client.Post("/api/v1/webhooks", body);
  if (!made) return console.Complain(made.error());
  if (console.json()) {
    console.OutJson(*made);
    return kOk;
  }
  console.Out(console.quiet() ? TextAt(*made, "/id") : TextAt(*made, "/secret"));
  const std::string id = TextAt(*made, "/id");
  console.Note(id + " is told of " + StatesText(ListAt(*made, "/on")) +
               "; the line above is what its messages are signed with");
  console.Note("try it: tutti webhook test " + id);
  return kOk;
}

int WebhookList(Context& context) {
  Console& console = context.console;
  const auto webhooks = context.client.Get("/api/v1/webhooks");
  if (!webhooks) return console.Complain(webhooks.error());
  if (console.json()) {
    console.OutJson(*webhooks);
    return kOk;
  }
  std::vector<Row> rows;
  const WallTime now = WallNow();
  for (const json& webhook : ListAt(*webhooks, "/data")) {
    const std::string id = TextAt(webhook, "/id");
    if (console.quiet()) console.Out(id);
    const std::string name = OneLine(TextAt(webhook, "/name"));
    rows.push_back({id, name, OneLine(TextAt(webhook, "/url")), StatesText(ListAt(webhook, "/on")),
                    TextAt(webhook, "/waiting"), TextAt(webhook, "/given_up"),
                    LastOf(webhook, now)});
  }
  if (console.quiet()) return kOk;
  if (rows.empty()) {
    console.Note("no webhooks; make one with: tutti webhook create URL");
    return kOk;
  }
  console.OutRaw(RenderTable({{"WEBHOOK"},
                              {"NAME", false, 6, 3},
                              {"URL", false, 12},
                              {"ON", false, 9, 2},
                              {"WAITING", true},
                              {"GIVEN UP", true, 0, 1},
                              {"LAST", false, 10}},
                             rows, console.out_width(), console.out_color()));
  return kOk;
}

int WebhookDelete(Context& context, const std::vector<std::string>& webhooks) {
  Console& console = context.console;
  int exit = kOk;
  const auto keep = [&exit](int code) { exit = exit == kOk ? code : exit; };
  for (const std::string& webhook : webhooks) {
    const auto answer = context.client.Send({.method = "DELETE", .target = Target(webhook)});
    if (!answer) {
      keep(console.Complain(answer.error()));
    } else if (answer->status >= 300) {
      keep(console.Complain(client::ErrorsOf(*answer, webhook)));
    } else if (console.json()) {
      console.OutJson(json::parse(answer->body, nullptr, false));
    } else {
      console.Note(TextAt(json::parse(answer->body, nullptr, false), "/id") + " is deleted");
    }
  }
  return exit;
}

int WebhookTest(Context& context, const std::string& webhook) {
  Console& console = context.console;
  const auto tried = context.client.Post(Target(webhook, "/test"), json::object());
  if (!tried) return console.Complain(tried.error());
  const std::string error = TextAt(*tried, "/error");
  if (console.json()) console.OutJson(*tried);
  if (!error.empty()) {
    if (!console.json()) {
      console.Complain(Error{ErrorCode::kUnavailable, OneLine(error), webhook,
                             "what Tutti sends, and where it may: docs/webhooks.md"});
    }
    return kJobFailed;
  }
  if (!console.json()) {
    console.Note("it answered " + TextAt(*tried, "/status") + " after " +
                 TextAt(*tried, "/took_ms") + " ms");
  }
  return kOk;
}

int WebhookSecret(Context& context) {
  const auto secret = context.client.Get("/api/v1/webhooks/secret");
  if (!secret) return context.console.Complain(secret.error());
  if (context.console.json()) {
    context.console.OutJson(*secret);
    return kOk;
  }
  context.console.Out(TextAt(*secret, "/secret"));
  context.console.Note("of the webhooks in specs of " + OneLine(TextAt(*secret, "/user")));
  return kOk;
}

}  // namespace tutti::cli
