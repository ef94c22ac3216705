// `tutti-engine train --link-fd N --memory-fd M`: one rank of a gang, from the worker's plan to
// Done or Failed. Returns an ExitCode.
#pragma once

namespace tutti::engine {

struct TrainArguments {
  int link_fd = -1;
  int memory_fd = -1;  // wins over the plan's
};

int RunTrain(const TrainArguments& arguments);

}  // namespace tutti::engine
