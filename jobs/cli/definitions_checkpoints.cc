// The commands of `tutti checkpoint`.
#include "jobs/cli/definitions.h"

namespace tutti::cli {

void DefineCheckpoints(Definitions& d) {
  auto* checkpoint =
      d.Add(&d.app, "checkpoint", "A job's checkpoints on disk: list verify gc", "Jobs");
  checkpoint->require_subcommand(1);

  auto* list = d.Add(checkpoint, "list", "List them, newest first");
  auto listed = std::make_shared<std::string>();
  d.JobArgument(list, *listed);
  d.On(list, [listed](Context& c) { return CheckpointList(c, *listed); });

  auto* verify = d.Add(checkpoint, "verify",
                       "Read their bytes and compare with what was written; exit 1 if one is bad");
  auto verified = std::make_shared<std::pair<std::string, std::optional<int>>>();
  d.JobArgument(verify, verified->first);
  verify->add_option("STEP", verified->second, "That one alone")
      ->check(CLI::PositiveNumber)
      ->type_name("");
  d.On(verify,
       [verified](Context& c) { return CheckpointVerify(c, verified->first, verified->second); });

  auto* gc = d.Add(checkpoint, "gc",
                   "Remove all but the newest; of a job that may go on never the newest good one");
  auto collected = std::make_shared<GcOptions>();
  gc->add_option("JOB", collected->job, "Its id, a prefix of it, or its name; none: every job")
      ->type_name("");
  d.job_commands.push_back(gc);
  gc->add_option("--keep", collected->keep, "How many of each job stay")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  gc->add_flag("--dry-run", collected->dry_run, "Only say what would go");
  d.On(gc, [collected](Context& c) { return CheckpointGc(c, *collected); });
}

}  // namespace tutti::cli
