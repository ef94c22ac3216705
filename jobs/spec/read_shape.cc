#include "jobs/spec/read_shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "jobs/spec/names.h"
#include "jobs/spec/states.h"
#include "jobs/spec/suggest.h"

namespace tutti::spec {
namespace {

constexpr Range kAnyNumber;
constexpr Range kTrials = {.min = 1, .max = 100'000};
constexpr std::size_t kSweepValuesMax = 1000;

// The keys of a mapping are all among `names`, and the first `required` of them are there.
bool CheckKeys(const Item& item, std::span<const std::string_view> names, std::size_t required,
               Problems& problems) {
  const Map* map = item.node.AsMap();
  if (map == nullptr) {
    AddWrongKind(item, fmt::format("a mapping with {}", fmt::join(names, ", ")), problems);
    return false;
  }
  bool good = true;
  for (const Entry& entry : *map) {
    if (std::ranges::find(names, entry.key) != names.end()) continue;
    good = false;
    if (problems.enough()) continue;
    problems.Invalid(fmt::format("unknown field {} in {}", Quoted(entry.key), item.path),
                     entry.place, Suggestion(entry.key, names));
  }
  for (const std::string_view name : names.first(required)) {
    if (Find(*map, name) != nullptr) continue;
    problems.Invalid(fmt::format("{}.{} is missing", item.path, name), item.node.place);
    good = false;
  }
  return good;
}

// The value of a key that may be absent; nullptr then, and for null.
const Node* Get(const Item& item, std::string_view key) {
  const Entry* entry = Find(*item.node.AsMap(), key);
  return entry == nullptr || std::holds_alternative<Null>(entry->value.value) ? nullptr
                                                                              : &entry->value;
}

bool IsDigest(std::string_view text) {
  constexpr std::string_view kHead = "sha256:";
  return text.size() == kHead.size() + 64 && text.starts_with(kHead) &&
         std::ranges::all_of(text.substr(kHead.size()), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// Relative, and inside the folder it is relative to.
bool IsInnerPath(std::string_view path) {
  if (path.empty() || path.size() > 1024) return false;
  std::size_t start = 0;
  while (start <= path.size()) {
    const std::size_t end = std::min(path.find('/', start), path.size());
    const std::string_view part = path.substr(start, end - start);
    if (part.empty() || part == "." || part == ".." || part.size() > 255) return false;
    start = end + 1;
  }
  return true;
}

bool ReadInputFile(const Item& item, Problems& problems, InputFile& out) {
  constexpr std::array<std::string_view, 3> kKeys = {"path", "digest", "size_bytes"};
  constexpr Range kSize = {.min = 0, .max = 0x1p53};
  if (!CheckKeys(item, kKeys, kKeys.size(), problems)) return false;
  const Map& map = *item.node.AsMap();
  InputFile file;
  const Node& path = Find(map, "path")->value;
  const Node& digest = Find(map, "digest")->value;
  const std::string size_path = std::string(item.path) + ".size_bytes";
  bool good = ReadText({path, item.path}, problems, file.path);
  good = ReadText({digest, item.path}, problems, file.digest) && good;
  good = ReadWhole({Find(map, "size_bytes")->value, size_path}, kSize, problems, file.size_bytes) &&
         good;
  if (!good) return false;
  if (!IsInnerPath(file.path)) {
    problems.Invalid(fmt::format("{}.path must be a relative path without '..', not {}", item.path,
                                 Quoted(file.path)),
                     path.place);
    return false;
  }
  if (!IsDigest(file.digest)) {
    problems.Invalid(fmt::format("{}.digest must be sha256: and 64 hexadecimal digits, not {}",
                                 item.path, Quoted(file.digest)),
                     digest.place);
    return false;
  }
  out = std::move(file);
  return true;
}

bool ReadOptionalFile(const Item& item, std::string_view key, Problems& problems,
                      std::optional<InputFile>& out) {
  const Node* node = Get(item, key);
  if (node == nullptr) return true;
  const std::string path = fmt::format("{}.{}", item.path, key);
  InputFile file;
  if (!ReadInputFile({*node, path}, problems, file)) return false;
  out = std::move(file);
  return true;
}

// Only what stands below `sweep.parameters`; the tree's depth is bounded.
nlohmann::json ToJson(const Node& node) {
  struct Converter {
    nlohmann::json operator()(const Null&) const { return nullptr; }
    nlohmann::json operator()(bool value) const { return value; }
    nlohmann::json operator()(std::int64_t value) const { return value; }
    nlohmann::json operator()(double value) const { return value; }
    nlohmann::json operator()(const std::string& value) const { return value; }
    nlohmann::json operator()(const List& list) const {
      nlohmann::json json = nlohmann::json::array();
      for (const Node& item : list) json.push_back(ToJson(item));
      return json;
    }
    nlohmann::json operator()(const Map& map) const {
      nlohmann::json json = nlohmann::json::object();
      for (const Entry& entry : map) json[entry.key] = ToJson(entry.value);
      return json;
    }
  };
  return std::visit(Converter{}, node.value);
}

bool ReadParameter(const Entry& entry, Problems& problems, SweepSpec& out) {
  const Field* field = FindField(entry.key);
  const auto* custom = field == nullptr ? nullptr : std::get_if<Custom>(&field->access);
  const bool is_section =
      custom != nullptr && (custom->shape == Shape::kSection || custom->shape == Shape::kSweep ||
                            custom->shape == Shape::kInputs);
  if (field == nullptr || is_section) {
    std::vector<std::string_view> paths;
    for (const Field& known : Fields()) paths.push_back(known.path);
    if (!problems.enough()) {
      problems.Invalid(fmt::format("{} is no field to sweep", Quoted(entry.key)), entry.place,
                       is_section ? std::string() : Suggestion(entry.key, paths));
    }
    return false;
  }
  const Item item{entry.value, entry.key};
  const List* values = entry.value.AsList();
  if (values == nullptr || values->empty() || values->size() > kSweepValuesMax) {
    AddWrongKind(item, fmt::format("a list of 1 to {} values to try", kSweepValuesMax), problems);
    return false;
  }
  std::vector<nlohmann::json> tried;
  for (const Node& value : *values) tried.push_back(ToJson(value));
  out.parameters.emplace_back(entry.key, std::move(tried));
  return true;
}

}  // namespace

bool ReadTargetModules(const Item& item, Problems& problems, LoraSpec& out) {
  const auto* text = std::get_if<std::string>(&item.node.value);
  if (text != nullptr && *text == "all-linear") {
    out.all_linear = true;
    return true;
  }
  if (item.node.AsList() == nullptr) {
    AddWrongKind(item, "all-linear or a list of module names", problems);
    return false;
  }
  return ReadTextList(item, problems, out.target_modules);
}

bool ReadSchedulerKwargs(const Item& item, Problems& problems, Draft& draft) {
  const Map* map = item.node.AsMap();
  if (map == nullptr) {
    AddWrongKind(item, "a mapping of what the schedule takes", problems);
    return false;
  }
  std::map<std::string, std::variant<double, std::string>> kwargs;
  bool good = true;
  for (const Entry& entry : *map) {
    const std::string path = fmt::format("{}.{}", item.path, entry.key.substr(0, 100));
    double number = 0;
    if (const auto* text = std::get_if<std::string>(&entry.value.value);
        text != nullptr && NumberMeant(entry.value).empty()) {
      kwargs.emplace(entry.key, *text);
    } else if (ReadNumber({entry.value, path}, kAnyNumber, problems, number)) {
      kwargs.emplace(entry.key, number);
    } else {
      good = false;
    }
    draft.Give(path, entry.value.place);
  }
  if (good) draft.job.training.lr_scheduler_kwargs = std::move(kwargs);
  return good;
}

bool ReadRetryOn(const Item& item, Problems& problems, std::vector<RetryOn>& out) {
  const List* list = item.node.AsList();
  if (list == nullptr) {
    AddWrongKind(item, "a list of reasons", problems,
                 "write [worker_lost, crash, hang]; [] never tries again");
    return false;
  }
  std::vector<RetryOn> reasons;
  bool good = true;
  for (const Node& node : *list) {
    std::string_view name;
    if (!ReadChoice({node, item.path}, RetryOnNames(), problems, name)) {
      good = false;
      continue;
    }
    const RetryOn reason = *ParseRetryOn(name);
    if (std::ranges::find(reasons, reason) != reasons.end()) {
      problems.Invalid(fmt::format("{} has '{}' twice", item.path, name), node.place);
      good = false;
    } else {
      reasons.push_back(reason);
    }
  }
  if (good) out = std::move(reasons);
  return good;
}

bool ReadWebhooks(const Item& item, Problems& problems, std::vector<Webhook>& out) {
  constexpr std::array<std::string_view, 2> kKeys = {"url", "on"};
  const List* list = item.node.AsList();
  if (list == nullptr) {
    AddWrongKind(item, "a list of {url: …, on: […]}", problems);
    return false;
  }
  std::vector<Webhook> hooks;
  bool good = true;
  for (const Node& node : *list) {
    const Item one{node, item.path};
    Webhook hook;
    if (!CheckKeys(one, kKeys, 2, problems) ||
        !ReadText({Find(*node.AsMap(), "url")->value, "webhooks.url"}, problems, hook.url) ||
        !ReadTextList({Find(*node.AsMap(), "on")->value, "webhooks.on"}, problems, hook.on)) {
      good = false;
      continue;
    }
    if (!hook.url.starts_with("http://") && !hook.url.starts_with("https://")) {
      problems.Invalid(
          fmt::format("webhooks.url must start with http:// or https://, not {}", Quoted(hook.url)),
          Find(*node.AsMap(), "url")->value.place);
      good = false;
    }
    for (const std::string& state : hook.on) {
      if (ParseJobState(state)) continue;
      problems.Invalid(fmt::format("webhooks.on cannot be {}", Quoted(state)),
                       Find(*node.AsMap(), "on")->value.place, Suggestion(state, JobStateNames()));
      good = false;
    }
    hooks.push_back(std::move(hook));
  }
  if (good) out = std::move(hooks);
  return good;
}

bool ReadInputs(const Item& item, Problems& problems, Inputs& out) {
  constexpr std::array<std::string_view, 3> kKeys = {"model", "train", "eval"};
  if (!CheckKeys(item, kKeys, 0, problems)) return false;
  Inputs inputs;
  bool good = ReadOptionalFile(item, "train", problems, inputs.train);
  good = ReadOptionalFile(item, "eval", problems, inputs.eval) && good;
  if (const Node* model = Get(item, "model")) {
    const List* list = model->AsList();
    if (list == nullptr) {
      AddWrongKind({*model, "inputs.model"}, "a list of {path, digest, size_bytes}", problems);
      return false;
    }
    for (const Node& node : *list) {
      InputFile file;
      if (!ReadInputFile({node, "inputs.model"}, problems, file)) {
        good = false;
      } else if (!inputs.model.empty() && file.path <= inputs.model.back().path) {
        problems.Invalid("inputs.model must be sorted by path, each path once", node.place);
        good = false;
      } else {
        inputs.model.push_back(std::move(file));
      }
    }
  }
  if (good) out = std::move(inputs);
  return good;
}

bool ReadSweepSection(const Item& item, Problems& problems, SweepSpec& out) {
  constexpr std::array<std::string_view, 5> kKeys = {"parameters", "method", "metric", "mode",
                                                     "max_trials"};
  if (!CheckKeys(item, kKeys, 1, problems)) return false;
  bool good = true;
  std::string_view name;
  if (const Node* method = Get(item, "method")) {
    good = ReadChoice({*method, "sweep.method"}, SweepMethodNames(), problems, name) && good;
    if (good) out.method = *ParseSweepMethod(name);
  }
  if (const Node* mode = Get(item, "mode")) {
    const bool read = ReadChoice({*mode, "sweep.mode"}, SweepModeNames(), problems, name);
    if (read) out.mode = *ParseSweepMode(name);
    good = good && read;
  }
  if (const Node* metric = Get(item, "metric")) {
    good = ReadText({*metric, "sweep.metric"}, problems, out.metric.emplace()) && good;
  }
  if (const Node* trials = Get(item, "max_trials")) {
    good = ReadWhole({*trials, "sweep.max_trials"}, kTrials, problems, out.max_trials.emplace()) &&
           good;
  }
  const Node& parameters = Find(*item.node.AsMap(), "parameters")->value;
  const Map* map = parameters.AsMap();
  if (map == nullptr || map->empty()) {
    AddWrongKind({parameters, "sweep.parameters"}, "a mapping of field paths to lists of values",
                 problems, "write training.learning_rate: [1.0e-4, 5.0e-4]");
    return false;
  }
  for (const Entry& entry : *map) good = ReadParameter(entry, problems, out) && good;
  return good;
}

}  // namespace tutti::spec
