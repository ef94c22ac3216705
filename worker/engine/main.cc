// tutti-engine: training ranks and model tools. `tutti-engine --help` lists its commands.
#include <string>
#include <vector>

#include "worker/engine/blas.h"
#include "worker/engine/commands.h"

int main(int argc, char** argv) {
  tutti::engine::ExecuteOnBetterCore(argv);
  return tutti::engine::RunCommandLine(std::vector<std::string>(argv + 1, argv + argc));
}
