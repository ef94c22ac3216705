#include "jobs/spec/json.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "jobs/spec/names.h"
#include "jobs/spec/parse.h"

namespace tutti::spec {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kTextUsual = 4096;  // bytes of a resolved form

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

// Values as text; those that are rare, as nlohmann writes them.
void AppendJson(std::string& text, const Json& value) {
  if (value.is_null()) {
    text += "null";
  } else if (value.is_structured() && value.empty()) {
    text += value.is_array() ? "[]" : "{}";
  } else {
    text += value.dump();
  }
}
void AppendJson(std::string& text, bool value) { text += value ? "true" : "false"; }
void AppendJson(std::string& text, std::int64_t value) { text += std::to_string(value); }
void AppendJson(std::string& text, std::string_view value) {
  const bool is_plain = std::ranges::all_of(
      value, [](char c) { return c >= ' ' && c < 0x7f && c != '"' && c != '\\'; });
  if (!is_plain) return AppendJson(text, Json(value));
  text.append(1, '"').append(value).append(1, '"');
}

void AppendJson(std::string& text, const std::string& value) {
  AppendJson(text, std::string_view(value));
}
void AppendJson(std::string& text, const Duration& value) { AppendJson(text, ToValue(value)); }
void AppendJson(std::string& text, const Bytes& value) { AppendJson(text, ToValue(value)); }
void AppendJson(std::string& text, const InputFile& file) {
  AppendJson(text += R"({"digest":)", file.digest);
  AppendJson(text += R"(,"path":)", file.path);
  AppendJson(text += R"(,"size_bytes":)", file.size_bytes);
  text += '}';
}
template <typename Value>
void AppendJson(std::string& text, const std::optional<Value>& value) {
  if (value) {
    AppendJson(text, *value);
  } else {
    text += "null";
  }
}

void AppendJson(std::string& text, const Inputs& inputs) {
  AppendJson(text += R"({"eval":)", inputs.eval);
  text += R"(,"model":[)";
  for (const InputFile& file : inputs.model) {
    if (&file != &inputs.model.front()) text += ',';
    AppendJson(text, file);
  }
  AppendJson(text += R"(],"train":)", inputs.train);
  text += '}';
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

Json OfInputs(const Inputs& inputs) {
  std::string text;
  AppendJson(text, inputs);
  return Json::parse(text);
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

void AppendValue(std::string& text, const Field& field, Draft& draft) {
  std::visit(
      [&](const auto& access) {
        using A = std::remove_cvref_t<decltype(access)>;
        if constexpr (std::is_same_v<A, Ref<bool>> || std::is_same_v<A, Ref<std::int64_t>> ||
                      std::is_same_v<A, Ref<std::optional<bool>>> ||
                      std::is_same_v<A, Ref<std::optional<std::int64_t>>> ||
                      std::is_same_v<A, Ref<std::optional<std::string>>> ||
                      std::is_same_v<A, Ref<std::optional<Duration>>> ||
                      std::is_same_v<A, Ref<std::optional<Bytes>>>) {
          AppendJson(text, access(draft));
        } else if constexpr (std::is_same_v<A, Ref<std::string>>) {
          AppendJson(text, std::string_view(access(draft)));
        } else if constexpr (std::is_same_v<A, Choice>) {
          AppendJson(text, access.get(draft));
        } else if (field.use == Use::kResolved) {
          AppendJson(text, draft.job.inputs);
        } else {
          AppendJson(text, ValueOf(field, draft));
        }
      },
      field.access);
}

// Whether the rows that follow below its path are members of its value.
bool IsObject(const Field& field, const Draft& draft) {
  const auto* custom = std::get_if<Custom>(&field.access);
  if (custom == nullptr) return false;
  const bool is_full = std::holds_alternative<FullMethod>(draft.job.method);
  return custom->shape == Shape::kSection || custom->shape == Shape::kRanks ||
         (custom->shape == Shape::kMethod && !is_full);
}

// The resolved form's fields as a JSON object has them: sorted. A dot comes before every character
// of a name, so a section's rows follow it.
const std::vector<const Field*>& SortedFields() {
  static const std::vector<const Field*> sorted = [] {
    std::vector<const Field*> fields;
    for (const Field& field : Fields()) {
      if (field.use != Use::kWritten) fields.push_back(&field);
    }
    std::ranges::sort(fields, {}, [](const Field* field) { return std::string_view(field->path); });
    return fields;
  }();
  return sorted;
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

std::string ToJsonText(const JobSpec& job) {
  Draft draft;
  draft.job = job;
  std::string text;
  text.reserve(kTextUsual);
  text += '{';
  std::vector<std::string_view> open;  // sections
  const auto close_to = [&](std::string_view section) {
    for (; !open.empty() && open.back() != section; open.pop_back()) text += '}';
  };
  for (const Field* field : SortedFields()) {
    if (!IsPresent(*field, draft)) continue;
    close_to(field->section());
    if (text.back() != '{') text += ',';
    AppendJson(text, field->name());
    text += ':';
    if (IsObject(*field, draft)) {
      text += '{';
      open.push_back(field->path);
    } else {
      AppendValue(text, *field, draft);
    }
  }
  close_to("");
  return text + '}';
}

nlohmann::json ToJson(const JobSpec& job) { return Json::parse(ToJsonText(job)); }

}  // namespace tutti::spec
