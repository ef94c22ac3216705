// tutti-simulate: the scheduler on a virtual clock. `trace` replays recorded workloads, `faults`
// searches for broken promises under injected faults, `whatif` runs a cluster's own jobs again with
// other workers, another policy, other weights.
//
// Exit codes: 0 ok, 1 a promise was broken or an error, 2 wrong usage, 3 a trace that cannot be
// read.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "common/version/version.h"
#include "scheduler/simulate/cluster_replay.h"
#include "scheduler/simulate/faults.h"
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

struct FaultArguments {
  std::uint64_t seed = 1;
  std::uint64_t runs = 1;  // seeds from that one on
  double minutes = 10;
  bool json = false;
};

std::string Hex(std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

// Seed after seed, until a promise is broken.
int RunSeeds(const FaultArguments& arguments) {
  const auto span = std::chrono::duration_cast<Duration>(
      std::chrono::duration<double, std::ratio<60>>(arguments.minutes));
  for (std::uint64_t seed = arguments.seed; seed < arguments.seed + arguments.runs; ++seed) {
    const auto started = std::chrono::steady_clock::now();
    const FaultReport report = RunFaults({.seed = seed, .safety = span});
    const double wall =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    const double simulated = std::chrono::duration<double>(report.simulated).count();
    if (arguments.json) {
      const nlohmann::ordered_json json = {{"seed", seed},
                                           {"hash", Hex(report.hash)},
                                           {"faults", report.faults},
                                           {"violations", report.violations},
                                           {"simulated_seconds", simulated},
                                           {"wall_seconds", wall},
                                           {"facts", report.facts},
                                           {"jobs", report.submitted},
                                           {"succeeded", report.succeeded}};
      std::printf("%s\n", json.dump().c_str());
    } else {
      std::printf(
          "seed %llu: hash %s, %llu faults, %llu facts, %llu jobs (%llu succeeded), %.0f s in %.2f "
          "s (%.0f x), %zu violations\n",
          static_cast<unsigned long long>(seed), Hex(report.hash).c_str(),
          static_cast<unsigned long long>(report.faults),
          static_cast<unsigned long long>(report.facts),
          static_cast<unsigned long long>(report.submitted),
          static_cast<unsigned long long>(report.succeeded), simulated, wall,
          simulated / std::max(wall, 1e-9), report.violations.size());
      for (const std::string& violation : report.violations)
        std::printf("  %s\n", violation.c_str());
    }
    std::fflush(stdout);
    if (!report.violations.empty()) return kExitError;
  }
  return 0;
}

struct WhatIfArguments {
  std::string workload;  // a file, or - for stdin
  std::uint32_t add_workers = 0;
  std::string policy;                // "" = as it is
  std::vector<std::string> weights;  // "queue=2"
  bool json = false;
};

// The workload as it is asked to be.
Result<ClusterWorkload> Changed(ClusterWorkload workload, const WhatIfArguments& arguments) {
  if (!arguments.policy.empty()) workload.policy = arguments.policy;
  for (const std::string& text : arguments.weights) {
    const std::size_t equals = text.find('=');
    char* end = nullptr;
    const double weight =
        equals == std::string::npos ? 0 : std::strtod(text.c_str() + equals + 1, &end);
    if (equals == 0 || equals == std::string::npos || *end != '\0' || !(weight > 0)) {
      return Fail(ErrorCode::kInvalid, "'" + text + "' is no QUEUE=WEIGHT", "--policy");
    }
    workload.queues[text.substr(0, equals)].weight = weight;
  }
  return WithWorkers(std::move(workload), arguments.add_workers);
}

void PrintWhatIf(const ClusterFigures& now, const ClusterFigures& then) {
  std::printf("%-6s %-8s %7s %6s %9s %9s %9s %9s %9s %6s\n", "", "POLICY", "WORKERS", "JOBS",
              "WAIT-AVG", "AVG", "P50", "P99", "MAKESPAN", "USED");
  for (const auto& [name, f] : {std::pair("now", now), std::pair("then", then)}) {
    std::printf("%-6s %-8s %7zu %6zu %8.3fh %8.3fh %8.3fh %8.3fh %8.2fh %5.1f%%\n", name,
                f.policy.c_str(), f.workers, f.jobs, f.avg_wait_hours, f.avg_jct_hours,
                f.p50_jct_hours, f.p99_jct_hours, f.makespan_hours, 100 * f.utilization);
  }
}

int RunWhatIf(const WhatIfArguments& arguments) {
  const std::filesystem::path path = arguments.workload == "-" ? "/dev/stdin" : arguments.workload;
  std::ifstream in(path);
  const std::string text(std::istreambuf_iterator<char>(in), {});
  if (!in.good() && text.empty()) {
    return Complain({ErrorCode::kNotFound, "no such workload", path.string()});
  }
  const auto workload = ParseWorkload(text);
  if (!workload) return Complain(workload.error());
  const auto changed = Changed(*workload, arguments);
  if (!changed) return Complain(changed.error());
  const auto now = ReplayCluster(*workload);
  if (!now) return Complain(now.error());
  const auto then = ReplayCluster(*changed);
  if (!then) return Complain(then.error());
  if (arguments.json) {
    const nlohmann::ordered_json json = {{"now", JsonOf(*now)}, {"then", JsonOf(*then)}};
    std::printf("%s\n", json.dump().c_str());
  } else {
    PrintWhatIf(*now, *then);
  }
  return 0;
}

void DefineWhatIf(CLI::App& app, WhatIfArguments& arguments) {
  auto* command = app.add_subcommand("whatif", "Run a cluster's jobs again with something changed");
  command
      ->add_option("--workload", arguments.workload,
                   "What GET /api/v1/workload answered, or - for stdin (default: asked for)")
      ->required()
      ->type_name("FILE");
  command->add_option("--add-workers", arguments.add_workers, "So many more, as the largest one")
      ->check(CLI::Range(0, 10'000));
  command->add_option("--policy", arguments.policy, "Another policy: fifo, fair, srtf")
      ->type_name("NAME");
  command->add_option("--weight", arguments.weights, "Another weight of a queue")
      ->type_name("QUEUE=WEIGHT");
  command->add_flag("--json", arguments.json, "One object: now and then");
}

int Main(int argc, char** argv) {
  CLI::App app("The scheduler on a virtual clock", "tutti simulate");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string(Version()));

  TraceArguments trace;
  auto* trace_command = app.add_subcommand("trace", "Replay recorded workloads under a policy");
  trace_command
      ->add_option("PATH", trace.path,
                   "A trace folder (every file of its workloads/), or one of them")
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

  FaultArguments faults;
  auto* faults_command =
      app.add_subcommand("faults", "Break everything a seed says and check that all promises hold");
  faults_command->add_option("--seed", faults.seed, "Decides everything that happens")
      ->capture_default_str();
  faults_command->add_option("--runs", faults.runs, "So many seeds, from that one on")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  faults_command
      ->add_option("--minutes", faults.minutes, "Of virtual time with faults; then all heals")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 100'000.0));
  faults_command->add_flag("--json", faults.json, "One object a seed");

  WhatIfArguments whatif;
  DefineWhatIf(app, whatif);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (*faults_command) return RunSeeds(faults);
  return *trace_command ? RunTrace(trace) : RunWhatIf(whatif);
}

}  // namespace
}  // namespace tutti::simulate

int main(int argc, char** argv) { return tutti::simulate::Main(argc, argv); }
