#include "jobs/spec/json.h"

#include <array>
#include <cmath>
#include <type_traits>
#include <utility>

#include "jobs/spec/names.h"
#include "jobs/spec/parse.h"

namespace tutti::spec {
namespace {

using Json = nlohmann::json;

Json ToValue(const Duration& duration) { return FormatDuration(duration); }
Json ToValue(const Bytes& bytes) { return ExactBytes(bytes); }
template <typename T>
Json ToValue(const T& value) {
  return value;
}
template <typename T>
Json ToValue(const std::optional<T>& value) {
  return value ? ToValue(*value) : Json(nullptr);
}

Json OfKwargs(const TrainingSpec& training) {
  Json json = Json::object();
  for (const auto& [name, value] : training.lr_scheduler_kwargs) {
    if (const auto* number = std::get_if<double>(&value)) {
      json[name] = JsonNumber(*number);
    } else {
      json[name] = std::get<std::string>(value);
    }
  }
  return json;
}

Json OfFile(const InputFile& file) {
  return {{"path", file.path}, {"digest", file.digest}, {"size_bytes", file.size_bytes}};
}

Json OfInputs(const Inputs& inputs) {
  Json json = {{"model", Json::array()}, {"train", nullptr}, {"eval", nullptr}};
  for (const InputFile& file : inputs.model) json["model"].push_back(OfFile(file));
  if (inputs.train) json["train"] = OfFile(*inputs.train);
  if (inputs.eval) json["eval"] = OfFile(*inputs.eval);
  return json;
}

Json OfSweep(const SweepSpec& sweep) {
  Json json = {{"method", ToString(sweep.method)},
               {"parameters", Json::object()},
               {"metric", ToValue(sweep.metric)},
               {"mode", sweep.mode ? Json(ToString(*sweep.mode)) : Json()},
               {"max_trials", ToValue(sweep.max_trials)}};
  for (const auto& [path, values] : sweep.parameters) json["parameters"][path] = values;
  return json;
}

Json OfCustom(const Custom& custom, Draft& draft) {
  const JobSpec& job = draft.job;
  switch (custom.shape) {
    case Shape::kSection:
      return Json::object();
    case Shape::kEval:
      return job.data.eval_fraction ? Json(*job.data.eval_fraction) : ToValue(job.data.eval);
    case Shape::kMethod:
      return std::holds_alternative<FullMethod>(job.method) ? Json("full") : Json::object();
    case Shape::kRanks:
      return Json::object();
    case Shape::kTargetModules: {
      const LoraSpec& lora = custom.lora(draft);
      if (lora.all_linear) return "all-linear";
      return lora.target_modules.empty() ? Json(nullptr) : Json(lora.target_modules);
    }
    case Shape::kSchedulerKwargs:
      return OfKwargs(job.training);
    case Shape::kRetryOn: {
      Json json = Json::array();
      for (const RetryOn reason : job.retry.on) json.push_back(ToString(reason));
      return json;
    }
    case Shape::kWebhooks: {
      Json json = Json::array();
      for (const Webhook& hook : job.webhooks) json.push_back({{"url", hook.url}, {"on", hook.on}});
      return json;
    }
    case Shape::kInputs:
      return OfInputs(job.inputs);
    case Shape::kSweep:
      return draft.sweep ? OfSweep(*draft.sweep) : Json(nullptr);
  }
  return nullptr;
}

// The object of a section, made on the way.
Json& SectionOf(Json& root, std::string_view path) {
  Json* json = &root;
  while (!path.empty()) {
    const std::size_t dot = std::min(path.find('.'), path.size());
    json = &(*json)[std::string(path.substr(0, dot))];
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return *json;
}

}  // namespace

nlohmann::json JsonNumber(double value) {
  if (std::trunc(value) == value && std::abs(value) < 0x1p53) {
    return static_cast<std::int64_t>(value);
  }
  return value;
}

std::string ExactBytes(Bytes bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"", "KiB", "MiB", "GiB", "TiB"};
  std::int64_t count = bytes.count;
  std::size_t unit = 0;
  while (count != 0 && count % 1024 == 0 && unit + 1 < kUnits.size()) {
    count /= 1024;
    ++unit;
  }
  return std::to_string(count) + std::string(kUnits[unit]);
}

Draft DefaultsFor(const Field& field) {
  Draft draft;
  if (field.path.starts_with("method.lora")) draft.job.method = LoraSpec{};
  if (field.path.starts_with("method.dpo")) {
    DpoSpec dpo;
    dpo.lora.emplace();
    draft.job.method = std::move(dpo);
  }
  return draft;
}

nlohmann::json ValueOf(const Field& field, Draft& draft) {
  return std::visit(
      [&draft](const auto& access) -> Json {
        using A = std::remove_cvref_t<decltype(access)>;
        if constexpr (std::is_same_v<A, Choice>) {
          return access.get(draft);
        } else if constexpr (std::is_same_v<A, Custom>) {
          return OfCustom(access, draft);
        } else {
          return ToValue(access(draft));
        }
      },
      field.access);
}

nlohmann::json ToJson(const JobSpec& job) {
  Draft draft;
  draft.job = job;
  Json root = Json::object();
  for (const Field& field : Fields()) {
    if (field.use == Use::kWritten || !IsPresent(field, draft)) continue;
    SectionOf(root, field.section())[std::string(field.name())] = ValueOf(field, draft);
  }
  return root;
}

}  // namespace tutti::spec
