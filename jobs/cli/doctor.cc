#include "jobs/cli/doctor_checks.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/text.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

constexpr int kHttpPort = 7717;
constexpr int kZmqPort = 7718;

std::string_view HealthName(Health health) {
  switch (health) {
    case Health::kGood:
      return "ok";
    case Health::kNote:
      return "note";
    case Health::kProblem:
      return "problem";
  }
  return "problem";
}

Paint PaintOf(Health health) {
  switch (health) {
    case Health::kGood:
      return Paint::kGreen;
    case Health::kNote:
      return Paint::kYellow;
    case Health::kProblem:
      return Paint::kRed;
  }
  return Paint::kRed;
}

std::vector<Check> AllChecks(Context& context) {
  std::vector<Check> checks = {CheckPrograms(context.bin_dir)};
  if (checks[0].health == Health::kGood) {
    checks.push_back(CheckLibraries(context.bin_dir));
    checks.push_back(CheckBlas(context.bin_dir));
    checks.push_back(CheckMpi(context.bin_dir));
  }
  for (const auto check : {CheckSharedMemory, CheckMemory, CheckLimits, CheckControlGroups}) {
    checks.push_back(check());
  }
  checks.push_back(CheckCpu());
  if (const auto data_dir = client::DataDirOf(context.endpoint, context.env)) {
    checks.push_back(CheckDataDir(*data_dir));
    checks.push_back(CheckDisk(*data_dir));
    checks.push_back(CheckToken(*data_dir));
    checks.push_back(CheckLeftovers(*data_dir));
  } else {
    checks.push_back(
        {"data directory", Health::kProblem, data_dir.error().message, data_dir.error().hint});
  }
  if (const auto at = context.client.endpoint()) {
    checks.push_back(CheckReach(at->url.host, at->url.port));
  }
  checks.push_back(CheckCoordinator(context));
  std::string date;
  if (const auto health =
          context.client.Send({.target = "/healthz", .timeout = std::chrono::seconds(5)})) {
    date = health->Header("date");
    checks.push_back(CheckWorkers(context));
  } else {
    checks.push_back(CheckPort(kHttpPort));
    checks.push_back(CheckPort(kZmqPort));
  }
  checks.push_back(CheckClock(date, WallNow()));
  return checks;
}

}  // namespace

int Doctor(Context& context) {
  Console& console = context.console;
  const std::vector<Check> checks = AllChecks(context);
  bool problem = false;
  json list = json::array();
  for (const Check& check : checks) {
    problem |= check.health == Health::kProblem;
    list.push_back({{"name", check.name},
                    {"health", HealthName(check.health)},
                    {"message", check.message},
                    {"fix", check.fix.empty() ? json() : json(check.fix)}});
    if (console.json()) continue;
    if (console.quiet() && check.health != Health::kProblem) continue;
    console.Out(
        Painted(Pad(HealthName(check.health), 7), PaintOf(check.health), console.out_color()) +
        "  " + Pad(check.name, 14) + "  " + OneLine(check.message));
    if (!check.fix.empty() && check.health != Health::kGood) {
      console.Out(std::string(25, ' ') + check.fix);
    }
  }
  if (console.json()) console.OutJson({{"checks", list}, {"ok", !problem}});
  return problem ? kJobFailed : kOk;
}

}  // namespace tutti::cli
