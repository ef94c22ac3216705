// MLflow's folder of runs (`mlruns`, its file store): one run written as MLflow itself would have.
// Layout: mlflow/store/tracking/file_store.py.
//
// Free functions; the files of one folder belong to one process at a time. Errors name the path.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/time.h"

namespace tutti::cli {

struct MlflowPoint {
  std::int64_t step = 0;
  WallTime at = {};
  double value = 0;
};

enum class MlflowStatus { kRunning = 1, kScheduled = 2, kFinished = 3, kFailed = 4, kKilled = 5 };

struct MlflowRun {
  std::string id = {};  // 32 hex digits; the same again replaces the run
  std::string name = {};
  std::string user = {};
  MlflowStatus status = MlflowStatus::kRunning;
  WallTime started = {};
  WallTime ended = {};  // {} = it has not
  std::map<std::string, std::string> params = {};
  std::map<std::string, std::vector<MlflowPoint>> metrics = {};
  std::map<std::string, std::string> tags = {};
  std::map<std::string, std::string> artifacts = {};  // file name -> its bytes
};

// Writes the run below DIR/EXPERIMENT/, which is made, like `directory`, where it is not there; an
// experiment of that name is used whoever made it. Returns the run's folder. Other runs are not
// touched. Names are made such that MLflow takes them and none leaves the folder.
Result<std::filesystem::path> WriteMlflowRun(const std::filesystem::path& directory,
                                             const std::string& experiment, const MlflowRun& run);

}  // namespace tutti::cli
