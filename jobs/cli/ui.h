// `tutti ui`. Main thread only.
#pragma once

#include "jobs/cli/commands.h"

namespace tutti::cli {

struct UiOptions {
  bool print = false;  // the address, instead of opening it
};
int Ui(Context& context, const UiOptions& options);

}  // namespace tutti::cli
