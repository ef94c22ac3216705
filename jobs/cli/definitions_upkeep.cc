// The commands that look after a data directory: `tutti backup`, `tutti blob`.
#include "jobs/cli/definitions.h"

namespace tutti::cli {

void DefineUpkeep(Definitions& d) {
  auto* backup = d.Add(&d.app, "backup",
                       "Copy the cluster's jobs, inputs, models and keys while it runs", "Cluster");
  auto to = std::make_shared<std::string>();
  backup
      ->add_option("DIR|FILE", *to,
                   "A folder on the coordinator's machine that is not there yet, or empty; or a "
                   "file: NAME.tar, NAME.tar.gz")
      ->required()
      ->type_name("");
  d.On(backup, [to](Context& c) { return Backup(c, *to); });

  auto* blob = d.Add(&d.app, "blob", "Inputs and models by content: gc", "Cluster");
  blob->require_subcommand(1);
  auto* gc = d.Add(
      blob, "gc", "Remove those that no job and no model needs; the cluster does it by itself too");
  auto options = std::make_shared<BlobGcOptions>();
  gc->add_flag("--dry-run", options->dry_run, "Only say what would go");
  gc->add_option("--grace", options->grace,
                 "What was used so lately stays: 10m or more (default: 7d, the coordinator's "
                 "--blob-grace)")
      ->type_name("TIME");
  d.On(gc, [options](Context& c) { return BlobGc(c, *options); });
}

}  // namespace tutti::cli
