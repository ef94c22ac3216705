#include "jobs/spec/reference.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <type_traits>

#include "jobs/spec/fields.h"
#include "jobs/spec/json.h"
#include "jobs/spec/support.h"

namespace tutti::spec {
namespace {

std::string OfCustom(const Field& field, const Custom& custom) {
  switch (custom.shape) {
    case Shape::kSection:
      return "mapping";
    case Shape::kEval:
      return fmt::format("text, or a number {}", field.range.ToString());
    case Shape::kMethod:
      return "`full`, or a mapping";
    case Shape::kRanks:
      return "whole number, or a mapping";
    case Shape::kTargetModules:
      return "`all-linear`, or a list of texts";
    case Shape::kSchedulerKwargs:
      return "mapping of names to numbers or texts";
    case Shape::kRetryOn:
      return "list of reasons";
    case Shape::kWebhooks:
    case Shape::kInputs:
      return "list of mappings";
    case Shape::kSweep:
      return "mapping";
  }
  return {};
}

std::string Ranged(std::string_view kind, const Range& range) {
  const std::string bounds = range.ToString();
  return bounds == "a finite number" ? std::string(kind) : fmt::format("{} {}", kind, bounds);
}

std::string KindOfField(const Field& field) {
  return std::visit(
      [&field](const auto& access) -> std::string {
        using A = std::remove_cvref_t<decltype(access)>;
        if constexpr (std::is_same_v<A, Choice>) {
          return fmt::format("`{}`", fmt::join(access.names, "` `"));
        } else if constexpr (std::is_same_v<A, Custom>) {
          return OfCustom(field, access);
        } else if constexpr (std::is_same_v<A, Ref<bool>> ||
                             std::is_same_v<A, Ref<std::optional<bool>>>) {
          return "`true` `false`";
        } else if constexpr (std::is_same_v<A, Ref<std::int64_t>> ||
                             std::is_same_v<A, Ref<std::optional<std::int64_t>>>) {
          return Ranged("whole number", field.range);
        } else if constexpr (std::is_same_v<A, Ref<double>>) {
          return Ranged("number", field.range);
        } else if constexpr (std::is_same_v<A, Ref<std::optional<Bytes>>>) {
          return "size";
        } else if constexpr (std::is_same_v<A, Ref<std::optional<Duration>>>) {
          return "time";
        } else if constexpr (std::is_same_v<A, Ref<TextList>>) {
          return "list of texts";
        } else if constexpr (std::is_same_v<A, Ref<TextMap>>) {
          return "mapping of names to texts";
        } else {
          return "text";
        }
      },
      field.access);
}

std::string DefaultOf(const Field& field) {
  if (field.use == Use::kRequired) return "**required**";
  if (field.use != Use::kOptional || field.is_section()) return {};
  if (field.path == "resources.ranks") return "`1`";
  Draft draft = DefaultsFor(field);
  const nlohmann::json value = ValueOf(field, draft);
  if (value.is_null() || value == "") return {};
  return fmt::format("`{}`", value.is_string() ? value.get<std::string>() : value.dump());
}

std::string RowOf(const Field& field) {
  std::string meaning(field.description);
  for (const Limit& limit : Limits()) {
    if (limit.path == field.path) {
      meaning += fmt::format(". **Not yet**: {}", limit.instead);
    }
  }
  return fmt::format("| `{}` | {} | {} | {} |\n", field.path, KindOfField(field), DefaultOf(field),
                     meaning);
}

}  // namespace

std::string FieldReference() {
  constexpr std::string_view kHead = "| field | value | default | meaning |\n|---|---|---|---|\n";
  std::string text = fmt::format("### Top\n\n{}", kHead);
  for (const Field& field : Fields()) {
    if (field.use == Use::kResolved) continue;
    const std::size_t dot = field.path.find('.');
    if (dot == std::string::npos) text += RowOf(field);
  }
  std::string open;  // the top-level section whose table is being written
  for (const Field& field : Fields()) {
    const std::size_t dot = field.path.find('.');
    if (dot == std::string::npos) continue;
    const std::string top = field.path.substr(0, dot);
    if (top != open) text += fmt::format("\n### {}\n\n{}", top, kHead);
    open = top;
    text += RowOf(field);
  }
  return text;
}

}  // namespace tutti::spec
