// The words of `tutti queue`, `tutti usage` and `tutti sweep`.
#include <memory>

#include "jobs/cli/commands.h"
#include "jobs/cli/definitions.h"

namespace tutti::cli {

namespace {

void DefineSweeps(Definitions& d) {
  auto* sweep = d.Add(&d.app, "sweep", "Many trials of one spec: submit, show, list", "Jobs");
  sweep->require_subcommand(1);
  auto* submit = d.Add(sweep, "submit", "Submit every trial of a spec with a `sweep` section");
  auto options = std::make_shared<SubmitOptions>();
  submit->add_option("SPEC", options->spec, "The spec, or - for stdin")
      ->required()
      ->type_name("FILE");
  submit->add_option("--set", options->sets, "Change a field of every trial: training.seed=7")
      ->type_name("KEY=VALUE")
      ->take_all()
      ->allow_extra_args(false);
  d.On(submit, [options](Context& c) { return SweepSubmit(c, *options); });
  auto* show = d.Add(sweep, "show", "Show a sweep's trials and the best one");
  auto shown = std::make_shared<std::string>();
  show->add_option("SWEEP", *shown, "Its id or name")->required()->type_name("");
  d.On(show, [shown](Context& c) { return SweepShow(c, *shown); });
  d.On(d.Add(sweep, "list", "List sweeps, newest first"), SweepList);
}

}  // namespace

void DefineQueues(Definitions& d) {
  DefineSweeps(d);
  auto* queue = d.Add(&d.app, "queue", "Queues: list, set", "Cluster");
  queue->require_subcommand(1);
  d.On(d.Add(queue, "list", "List queues"), QueueList);
  auto* set = d.Add(queue, "set", "Make a queue, change it, or set the cluster's policy");
  auto options = std::make_shared<QueueSetCommand>();
  set->add_option("NAME", options->name, "The queue; made when it is new");
  set->add_option("FIELDS", options->assignments,
                  "weight=2 (of its share), slots=8 (its own; lent while idle, taken back), "
                  "slots_max=16 (all its gangs), user_slots=4 (one user's); gpus=, gpus_max= and "
                  "user_gpus= likewise of GPUs; parent=NAME (the queue it is a part of); 0 or "
                  "empty: none");
  set->add_option("--policy", options->policy, "fifo, fair or srtf: who of all queues goes first")
      ->type_name("NAME");
  d.On(set, [options](Context& c) { return QueueSet(c, *options); });

  auto* usage = d.Add(&d.app, "usage", "Slot-hours and GPU-hours by queue and user", "Cluster");
  auto csv = std::make_shared<bool>(false);
  usage->add_flag("--csv", *csv, "Comma-separated values");
  d.On(usage, [csv](Context& c) { return UsageList(c, *csv); });
}

}  // namespace tutti::cli
