// Tokens: made, listed, revoked.
#include "common/base/time.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/table.h"
#include "jobs/cli/text.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

std::string DayOf(const std::string& rfc3339) {
  return rfc3339.substr(0, std::string_view("2026-01-31").size());
}

}  // namespace

// The token alone goes to stdout: TUTTI_TOKEN=$(tutti token create …).
int TokenCreate(Context& context, const TokenOptions& options) {
  Console& console = context.console;
  json body = {{"scope", options.scope}};
  if (!options.name.empty()) body["name"] = options.name;
  if (!options.user.empty()) body["user"] = options.user;
  if (!options.expires.empty()) {
    const auto lifetime = ParseDuration(options.expires);
    if (!lifetime) {
      console.Complain(Error{ErrorCode::kInvalid, "'" + options.expires + "' is no time",
                             "--expires", "write it like 12h or 30d"});
      return kUsage;
    }
    body["lifetime_ms"] = std::chrono::duration_cast<std::chrono::milliseconds>(*lifetime).count();
  }
  const auto made = context.client.Post("/api/v1/tokens", body);
  if (!made) return console.Complain(made.error());
  if (console.json()) {
    console.OutJson(*made);
    return kOk;
  }
  console.Out(TextAt(*made, "/token"));
  const std::string expires = TextAt(*made, "/expires_at");
  console.Note(TextAt(*made, "/id") + ": " + TextAt(*made, "/scope") + ", user " +
               OneLine(TextAt(*made, "/user")) +
               (expires.empty() ? ", until it is revoked" : ", until " + DayOf(expires)) +
               "; it is shown this once");
  return kOk;
}

int TokenList(Context& context) {
  Console& console = context.console;
  const auto tokens = context.client.Get("/api/v1/tokens");
  if (!tokens) return console.Complain(tokens.error());
  if (console.json()) {
    console.OutJson(*tokens);
    return kOk;
  }
  std::vector<Row> rows;
  const WallTime now = WallNow();
  for (const json& token : ListAt(*tokens, "/data")) {
    const std::string id = TextAt(token, "/id");
    if (console.quiet()) console.Out(id);
    const std::string expires = TextAt(token, "/expires_at");
    const bool expired = At(token, "/expired") == json(true);
    const std::string used = Age(TextAt(token, "/last_used_at"), now);
    rows.push_back({id, TextAt(token, "/scope"), OneLine(TextAt(token, "/user")),
                    OneLine(TextAt(token, "/name")), Age(TextAt(token, "/created_at"), now),
                    Cell(expired           ? "expired"
                         : expires.empty() ? "never"
                                           : DayOf(expires),
                         expired ? Paint::kRed : Paint::kNone),
                    used.empty() ? "never" : used});
  }
  if (console.quiet()) return kOk;
  if (rows.empty()) {
    console.Note("no tokens but the one in the data directory; make some with: tutti token create");
    return kOk;
  }
  console.OutRaw(RenderTable({{"TOKEN"},
                              {"SCOPE"},
                              {"USER", false, 8},
                              {"NAME", false, 8, 3},
                              {"AGE", true, 0, 1},
                              {"EXPIRES", false, 0, 4},
                              {"USED", true, 0, 2}},
                             rows, console.out_width(), console.out_color()));
  return kOk;
}

int TokenRevoke(Context& context, const std::vector<std::string>& tokens) {
  Console& console = context.console;
  int exit = kOk;
  for (const std::string& token : tokens) {
    const auto revoked = context.client.Post(
        "/api/v1/tokens/" + httpclient::EncodeSegment(token) + "/revoke", json::object());
    if (!revoked) {
      const int code = console.Complain(revoked.error());
      if (exit == kOk) exit = code;
    } else if (console.json()) {
      console.OutJson(*revoked);
    } else {
      console.Note(TextAt(*revoked, "/id") + " is revoked");
    }
  }
  return exit;
}

}  // namespace tutti::cli
