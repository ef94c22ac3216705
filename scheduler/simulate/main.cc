// tutti-simulate: the scheduler on a virtual clock. `trace` replays recorded workloads, `faults`
// searches for broken promises under injected faults.
//
// Exit codes: 0 ok, 1 a promise was broken or an error, 2 wrong usage, 3 a trace that cannot be
// read.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "common/version/version.h"
#include "scheduler/simulate/report.h"
#include "scheduler/simulate/trace.h"

namespace tutti::simulate {
namespace {

constexpr int kExitError = 1;
constexpr int kExitUsage = 2;
constexpr int kExitInvalid = 3;

int Complain(const Error& error) {
  std::fprintf(stderr, "tutti simulate: %s\n", error.ToString().c_str());
  if (error.where == "--policy") return kExitUsage;
  const bool input = error.code == ErrorCode::kInvalid || error.code == ErrorCode::kNotFound;
  return input ? kExitInvalid : kExitError;
}

struct TraceArguments {
  std::string path;
  std::vector<std::string> policies;
  bool json = false;
  Cluster cluster;
};

int RunTrace(const TraceArguments& arguments) {
  for (const std::string& policy : arguments.policies) {
    const auto known = MakeAllocator(policy, arguments.cluster);
    if (!known) return Complain(known.error());
  }
  const auto trace = ReadTrace(arguments.path);
  if (!trace) return Complain(trace.error());
  std::vector<NamedFigures> table;
  for (const std::string& policy : arguments.policies) {
    const auto replay = ReplayTrace(*trace, policy, arguments.cluster);
    if (!replay) return Complain(replay.error());
    if (arguments.json) {
      std::printf("%s\n", JsonOf(policy, *replay).dump().c_str());
    } else {
      table.push_back({policy, FiguresOf(*replay)});
    }
  }
  if (!arguments.json) std::fputs(TableOf(table).c_str(), stdout);
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app("The scheduler on a virtual clock", "tutti simulate");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string(Version()));

  TraceArguments trace;
  auto* trace_command = app.add_subcommand("trace", "Replay recorded workloads under a policy");
  trace_command
      ->add_option("PATH", trace.path, "A trace folder (every file of its workloads/), or one of them")
      ->required();
  std::string names;
  for (const std::string& name : AllocatorNames()) names += (names.empty() ? "" : ", ") + name;
  trace_command->add_option("--policy", trace.policies, "One of " + names + "; may be repeated")
      ->type_name("NAME")
      ->required();
  trace_command->add_option("--machines", trace.cluster.machines, "Machines of the cluster")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  trace_command->add_option("--slots", trace.cluster.slots, "GPUs of each machine")
      ->capture_default_str()
      ->check(CLI::Range(1, 9));
  trace_command->add_flag("--json", trace.json, "One object a policy, with every job");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  return RunTrace(trace);
}

}  // namespace
}  // namespace tutti::simulate

int main(int argc, char** argv) { return tutti::simulate::Main(argc, argv); }
