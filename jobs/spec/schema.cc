#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "jobs/spec/fields.h"
#include "jobs/spec/json.h"
#include "jobs/spec/names.h"
#include "jobs/spec/parse.h"
#include "jobs/spec/states.h"
#include "jobs/spec/support.h"

namespace tutti::spec {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kNamePattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$";

Json OfRange(std::string_view type, const Range& range) {
  Json json = {{"type", type}};
  if (std::isfinite(range.min)) {
    json[range.above_min ? "exclusiveMinimum" : "minimum"] = JsonNumber(range.min);
  }
  if (std::isfinite(range.max)) {
    json[range.below_max ? "exclusiveMaximum" : "maximum"] = JsonNumber(range.max);
  }
  return json;
}

Json Text() { return {{"type", "string"}}; }
Json TextItems() { return {{"type", "array"}, {"items", Text()}, {"uniqueItems", true}}; }
Json ObjectOf(Json properties, Json required) {
  return {{"type", "object"},
          {"properties", std::move(properties)},
          {"required", std::move(required)},
          {"additionalProperties", false}};
}

Json SectionSchema(const std::string& path);

Json OneOf(Json first, Json second) {
  Json choices = Json::array();
  choices.push_back(std::move(first));
  choices.push_back(std::move(second));
  return {{"anyOf", std::move(choices)}};
}

Json SweepSchema() {
  const Json values = {{"type", "array"}, {"minItems", 1}};
  return ObjectOf(
      {{"method", {{"enum", SweepMethodNames()}}},
       {"parameters", {{"type", "object"}, {"minProperties", 1}, {"additionalProperties", values}}},
       {"metric", Text()},
       {"mode", {{"enum", SweepModeNames()}}},
       {"max_trials", {{"type", "integer"}, {"minimum", 1}}}},
      Json::array({"parameters"}));
}

Json CustomSchema(const Field& field, const Custom& custom) {
  switch (custom.shape) {
    case Shape::kSection:
      return SectionSchema(field.path);
    case Shape::kEval:
      return OneOf(Text(), OfRange("number", field.range));
    case Shape::kMethod: {
      Json mapping = SectionSchema(field.path);
      mapping["minProperties"] = 1;
      mapping["maxProperties"] = 1;
      return OneOf({{"const", "full"}}, std::move(mapping));
    }
    case Shape::kRanks:
      return OneOf(OfRange("integer", field.range), SectionSchema(field.path));
    case Shape::kTargetModules:
      return OneOf({{"const", "all-linear"}}, TextItems());
    case Shape::kSchedulerKwargs:
      return {{"type", "object"},
              {"additionalProperties", {{"type", Json::array({"number", "string"})}}}};
    case Shape::kRetryOn:
      return {{"type", "array"}, {"items", {{"enum", RetryOnNames()}}}, {"uniqueItems", true}};
    case Shape::kWebhooks: {
      const Json url = {{"type", "string"}, {"pattern", "^https?://"}};
      const Json states = {{"type", "array"}, {"items", {{"enum", JobStateNames()}}}};
      return {{"type", "array"},
              {"items", ObjectOf({{"url", url}, {"on", states}}, Json::array({"url", "on"}))}};
    }
    case Shape::kInputs:
      return {};
    case Shape::kSweep:
      return SweepSchema();
  }
  return {};
}

Json TypeOf(const Field& field) {
  return std::visit(
      [&field](const auto& access) -> Json {
        using A = std::remove_cvref_t<decltype(access)>;
        if constexpr (std::is_same_v<A, Choice>) {
          return {{"enum", access.names}};
        } else if constexpr (std::is_same_v<A, Custom>) {
          return CustomSchema(field, access);
        } else if constexpr (std::is_same_v<A, Ref<bool>> ||
                             std::is_same_v<A, Ref<std::optional<bool>>>) {
          return {{"type", "boolean"}};
        } else if constexpr (std::is_same_v<A, Ref<std::int64_t>> ||
                             std::is_same_v<A, Ref<std::optional<std::int64_t>>>) {
          return OfRange("integer", field.range);
        } else if constexpr (std::is_same_v<A, Ref<double>>) {
          return OfRange("number", field.range);
        } else if constexpr (std::is_same_v<A, Ref<std::optional<Bytes>>>) {
          return OneOf({{"type", "string"}, {"pattern", "^[0-9.]+([KMGT]i?B|B)?$"}},
                       OfRange("integer", field.range));
        } else if constexpr (std::is_same_v<A, Ref<std::optional<Duration>>>) {
          return {{"type", "string"}, {"pattern", "^([0-9.]+(d|h|m|s|ms))+$"}};
        } else if constexpr (std::is_same_v<A, Ref<TextList>>) {
          return TextItems();
        } else if constexpr (std::is_same_v<A, Ref<TextMap>>) {
          return {{"type", "object"}, {"additionalProperties", Text()}};
        } else {
          return Text();
        }
      },
      field.access);
}

bool IsNamed(const Field& field) {
  return field.path == "name" || field.path == "schedule.queue" ||
         field.path == "schedule.topology";
}

Json Property(const Field& field) {
  Json json = TypeOf(field);
  std::string description(field.description);
  for (const Limit& limit : Limits()) {
    if (limit.path == field.path) {
      description += fmt::format(" (not all of it is supported yet; {})", limit.instead);
    }
  }
  json["description"] = description;
  if (IsNamed(field)) json["pattern"] = kNamePattern;
  const bool has_default =
      field.use == Use::kOptional && !field.is_section() && field.path != "resources.ranks";
  if (!has_default) return json;
  Draft draft = DefaultsFor(field);
  if (Json value = ValueOf(field, draft); !value.is_null()) json["default"] = std::move(value);
  return json;
}

Json SectionSchema(const std::string& path) {
  Json properties = Json::object();
  Json required = Json::array();
  for (const Field& field : Fields()) {
    if (field.section() != path || field.use == Use::kResolved) continue;
    properties[std::string(field.name())] = Property(field);
    if (field.use == Use::kRequired) required.push_back(field.name());
  }
  return ObjectOf(std::move(properties), std::move(required));
}

}  // namespace

nlohmann::json SpecSchema() {
  Json schema = SectionSchema("");
  schema["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  schema["title"] = "Tutti job spec";
  schema["description"] = "One fine-tuning job, as `tutti submit` reads it.";
  return schema;
}

}  // namespace tutti::spec
