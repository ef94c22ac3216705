// `tutti export`: a job's curves for other people's tools. Main thread only; returns the exit code.
#pragma once

#include <string>

#include "jobs/cli/commands.h"

namespace tutti::cli {

struct ExportOptions {
  std::string job{};
  std::string directory{};
  std::string experiment = "tutti";  // of MLflow
};
int ExportMlflow(Context& context, const ExportOptions& options);
int ExportTensorboard(Context& context, const ExportOptions& options);

}  // namespace tutti::cli
