// The engine's tools for the worker (a request's object to an answer's object) and for use by hand.
// One thread each.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace tutti::engine {

// docs/formats/enginelink.md has the members. Errors are the input's unless their code says else.
Result<nlohmann::json> Inspect(const nlohmann::json& request);
Result<nlohmann::json> Try(const nlohmann::json& request);
Result<nlohmann::json> Eval(const nlohmann::json& request);
Result<nlohmann::json> Checkpoints(const nlohmann::json& request);

// By hand.
struct TryArguments {
  std::string model;
  std::vector<std::string> texts;  // none: lines of stdin
  std::int64_t top_k = 3;
  nlohmann::json generation = nlohmann::json::object();  // of a language model (writer.h)
  bool json = false;
};
int TryByHand(const TryArguments& arguments);

struct EvalArguments {
  std::string model, data;
  std::optional<std::int64_t> max_length{};
  std::string reference{};  // what preferences are compared with; empty: an adapter's base
  bool fresh_head = false;  // a new head with the labels of the data
  bool json = false;
};
int EvalByHand(const EvalArguments& arguments);

// What a language model expects after each text: a JSON object a line, {"ids", "logits"} of the
// last place.
struct LogitsArguments {
  std::string model;
  std::vector<std::string> texts{};
};
int LogitsByHand(const LogitsArguments& arguments);

// An adapter's directory made into a model's (worker/finetune/export.h).
struct MergeArguments {
  std::string from, to;
  bool json = false;
};
int MergeByHand(const MergeArguments& arguments);

}  // namespace tutti::engine
