// A tool's request, from what the coordinator asks to what the engine can do on this machine, and
// the engine's answer back. Pure but for opening what is read in place.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/agent/in_place.h"

namespace tutti::agent {

// inspect, try, eval, checkpoints.
bool IsTool(std::string_view name);

struct ToolPlaces {
  std::filesystem::path folder;     // the request's own
  std::filesystem::path cache_dir;  // of tokens
  std::filesystem::path jobs_dir;
  std::span<const std::filesystem::path> data_roots;
  PinnedFiles& pinned;  // held while the tool runs
};
// Paths of the request (model_dir, train_path, eval_path, data_path): relative ones are below the
// folder, others must lie below a data root and get links in the folder. Sets "cache_dir", and for
// a request with a "job" the "directory" of its checkpoints. kInvalid says which path or id.
Result<std::string> LocalRequest(const std::string& request_json, const ToolPlaces& places);

struct ToolAnswer {
  bool ok = false;
  std::string json;  // ok: the answer; else {"code","message","where","hint"}
};
ToolAnswer AnswerOfError(const Error& error);
// Takes the whole lines at the beginning of a tool's output that are {"piece":…}.
std::vector<std::string> TakePieces(std::string& out);
// Of what a tool wrote to stdout and stderr, and how it ended.
ToolAnswer AnswerOfOutput(std::string_view tool, const std::string& out, const std::string& errors,
                          int wait_status);

}  // namespace tutti::agent
