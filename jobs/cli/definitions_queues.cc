// The words of `tutti queue` and `tutti usage`.
#include <memory>

#include "jobs/cli/commands.h"
#include "jobs/cli/definitions.h"

namespace tutti::cli {

void DefineQueues(Definitions& d) {
  auto* queue = d.Add(&d.app, "queue", "Queues: list, set", "Cluster");
  queue->require_subcommand(1);
  d.On(d.Add(queue, "list", "List queues"), QueueList);
  auto* set = d.Add(queue, "set", "Make a queue, change it, or set the cluster's policy");
  auto options = std::make_shared<QueueSetCommand>();
  set->add_option("NAME", options->name, "The queue; made when it is new");
  set->add_option("FIELDS", options->assignments,
                  "weight=2 (of its share), slots=8 (its own; lent while idle, taken back), "
                  "slots_max=16 (all its gangs), user_slots=4 (one user's); 0: no limit");
  set->add_option("--policy", options->policy, "fifo, fair or srtf: who of all queues goes first")
      ->type_name("NAME");
  d.On(set, [options](Context& c) { return QueueSet(c, *options); });

  auto* usage = d.Add(&d.app, "usage", "Slot-hours by queue and user", "Cluster");
  auto csv = std::make_shared<bool>(false);
  usage->add_flag("--csv", *csv, "Comma-separated values");
  d.On(usage, [csv](Context& c) { return UsageList(c, *csv); });
}

}  // namespace tutti::cli
