#include "jobs/spec/read.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "jobs/spec/names.h"
#include "jobs/spec/read_shape.h"
#include "jobs/spec/read_value.h"
#include "jobs/spec/suggest.h"

namespace tutti::spec {
namespace {

template <typename... Fs>
struct Overload : Fs... {
  using Fs::operator()...;
};
template <typename... Fs>
Overload(Fs...) -> Overload<Fs...>;

std::string Join(std::string_view section, std::string_view name) {
  std::string path(section);
  if (!path.empty()) path += '.';
  return path.append(name);
}

class Reader {
 public:
  Reader(Form form, Problems& problems) : form_(form), problems_(problems) {}

  Draft Take() { return std::move(draft_); }

  // Reads the entries of a section's mapping; one without a value is an empty section.
  bool Section(const std::string& path, const Node& node) {
    static const Map kEmpty;
    const bool is_empty = std::holds_alternative<Null>(node.value);
    const Map* map = is_empty ? &kEmpty : node.AsMap();
    if (map == nullptr) {
      AddWrongKind({node, path.empty() ? std::string_view("a spec") : path}, "a mapping of fields",
                   problems_, "write NAME: VALUE lines");
      return false;
    }
    draft_.Give(path, node.place);
    for (const Field& field : Fields()) {
      if (field.use == Use::kRequired && field.section() == path && !Find(*map, field.name())) {
        problems_.Invalid(fmt::format("{} is missing", field.path), node.place,
                          std::string(field.description));
        draft_.broken.insert(field.path);
      }
    }
    std::string field_path = Join(path, "");
    const std::size_t stem = field_path.size();
    for (const Entry& entry : *map) {
      field_path.replace(stem, std::string::npos, entry.key);
      const Field* field =
          entry.key.find('.') == std::string::npos ? FindField(field_path) : nullptr;
      if (field == nullptr || !IsAccepted(*field)) {
        AddUnknown(path, entry);
      } else {
        Value(*field, entry.value);
      }
    }
    return true;
  }

 private:
  bool IsAccepted(const Field& field) const {
    if (field.use == Use::kResolved) return form_ == Form::kResolved;
    return field.use != Use::kWritten || form_ == Form::kWritten;
  }

  void AddUnknown(const std::string& section, const Entry& entry) {
    if (problems_.enough()) return;
    std::vector<std::string_view> names;
    std::string elsewhere;
    for (const Field& field : Fields()) {
      if (!IsAccepted(field)) continue;
      if (field.section() == section) names.push_back(field.name());
      if (elsewhere.empty() && field.name() == entry.key) elsewhere = field.path;
    }
    const std::string_view near = Nearest(entry.key, names);
    if (!near.empty()) draft_.broken.insert(Join(section, near));
    problems_.Invalid(section.empty()
                          ? fmt::format("unknown field {}", Quoted(entry.key))
                          : fmt::format("unknown field {} in {}", Quoted(entry.key), section),
                      entry.place,
                      elsewhere.empty() ? Suggestion(entry.key, names)
                                        : fmt::format("did you mean {}?", elsewhere));
  }

  // Null stands for "not given" where there is a default that only resolving knows.
  static bool MayBeNull(const Field& field) {
    if (const auto* custom = std::get_if<Custom>(&field.access)) {
      return custom->shape == Shape::kSection || custom->shape == Shape::kEval ||
             custom->shape == Shape::kTargetModules;
    }
    return field.use == Use::kDerived || field.use == Use::kWritten ||
           std::holds_alternative<Ref<std::optional<bool>>>(field.access) ||
           std::holds_alternative<Ref<std::optional<std::int64_t>>>(field.access) ||
           std::holds_alternative<Ref<std::optional<std::string>>>(field.access) ||
           std::holds_alternative<Ref<std::optional<Duration>>>(field.access) ||
           std::holds_alternative<Ref<std::optional<Bytes>>>(field.access);
  }

  void Value(const Field& field, const Node& node) {
    const bool is_null = std::holds_alternative<Null>(node.value);
    const auto* custom = std::get_if<Custom>(&field.access);
    const bool is_section = custom != nullptr && custom->shape == Shape::kSection;
    if (is_null && !is_section && MayBeNull(field)) return;
    if (Read(field, node)) {
      draft_.Give(field, node.place);
    } else {
      draft_.broken.insert(field.path);
    }
  }

  template <typename T, typename ReadOne>
  static bool ReadOptional(std::optional<T>& member, ReadOne read_one) {
    T value{};
    if (!read_one(value)) return false;
    member = std::move(value);
    return true;
  }

  bool Read(const Field& field, const Node& node) {
    const Item item{node, field.path};
    const auto whole = [&](std::int64_t& out) {
      return ReadWhole(item, field.range, problems_, out);
    };
    const auto text = [&](std::string& out) { return ReadText(item, problems_, out); };
    return std::visit(
        Overload{
            [&](Ref<bool> ref) { return ReadBool(item, problems_, ref(draft_)); },
            [&](Ref<std::int64_t> ref) { return whole(ref(draft_)); },
            [&](Ref<double> ref) { return ReadNumber(item, field.range, problems_, ref(draft_)); },
            [&](Ref<std::string> ref) { return text(ref(draft_)); },
            [&](Ref<std::optional<bool>> ref) {
              return ReadOptional(ref(draft_),
                                  [&](bool& out) { return ReadBool(item, problems_, out); });
            },
            [&](Ref<std::optional<std::int64_t>> ref) { return ReadOptional(ref(draft_), whole); },
            [&](Ref<std::optional<std::string>> ref) { return ReadOptional(ref(draft_), text); },
            [&](Ref<std::optional<Duration>> ref) {
              return ReadOptional(
                  ref(draft_), [&](Duration& out) { return ReadDuration(item, problems_, out); });
            },
            [&](Ref<std::optional<Bytes>> ref) {
              return ReadOptional(ref(draft_), [&](Bytes& out) {
                return ReadBytes(item, field.range, problems_, out);
              });
            },
            [&](Ref<TextList> ref) { return ReadTextList(item, problems_, ref(draft_)); },
            [&](Ref<TextMap> ref) { return ReadMap(item, ref(draft_)); },
            [&](const Choice& choice) {
              std::string_view name;
              if (!ReadChoice(item, choice.names, problems_, name)) return false;
              choice.set(draft_, name);
              return true;
            },
            [&](const Custom& custom) { return ReadCustom(field, custom, node); },
        },
        field.access);
  }

  bool ReadMap(const Item& item, TextMap& out) {
    if (!ReadTextMap(item, problems_, out)) return false;
    for (const Entry& entry : *item.node.AsMap()) {
      draft_.Give(Join(item.path, entry.key), entry.place);
    }
    return true;
  }

  bool ReadCustom(const Field& field, const Custom& custom, const Node& node) {
    const Item item{node, field.path};
    switch (custom.shape) {
      case Shape::kSection:
        if (field.path == "method.dpo.lora") std::get<DpoSpec>(draft_.job.method).lora.emplace();
        return Section(field.path, node);
      case Shape::kEval:
        return ReadEval(item, field.range);
      case Shape::kMethod:
        return ReadMethod(item);
      case Shape::kRanks:
        return ReadRanks(item, field.range);
      case Shape::kTargetModules:
        return ReadTargetModules(item, problems_, custom.lora(draft_));
      case Shape::kSchedulerKwargs:
        return ReadSchedulerKwargs(item, problems_, draft_);
      case Shape::kRetryOn:
        return ReadRetryOn(item, problems_, draft_.job.retry.on);
      case Shape::kWebhooks:
        return ReadWebhooks(item, problems_, draft_.job.webhooks);
      case Shape::kInputs:
        return ReadInputs(item, problems_, draft_.job.inputs);
      case Shape::kSweep:
        return ReadSweep(item);
    }
    return false;
  }

  bool ReadEval(const Item& item, const Range& range) {
    DataSpec& data = draft_.job.data;
    const bool is_number = std::holds_alternative<std::int64_t>(item.node.value) ||
                           std::holds_alternative<double>(item.node.value);
    if (is_number) {
      double fraction = 0;
      if (!ReadNumber(item, range, problems_, fraction)) return false;
      data.eval_fraction = fraction;
      return true;
    }
    if (const std::string meant = NumberMeant(item.node); !meant.empty()) {
      AddWrongKind(
          item, "a path or a fraction", problems_,
          fmt::format("write {} without quotes; a file of that name is ./{}", meant, meant));
      return false;
    }
    std::string path;
    if (!ReadText(item, problems_, path)) return false;
    data.eval = std::move(path);
    return true;
  }

  bool ReadMethod(const Item& item) {
    constexpr std::string_view kExpected = "full, or a mapping with lora or dpo";
    const Map* map = item.node.AsMap();
    if (map == nullptr) {
      const auto* text = std::get_if<std::string>(&item.node.value);
      if (text != nullptr && *text == "full") {
        draft_.job.method = FullMethod{};
        return true;
      }
      const bool is_name = text != nullptr && (*text == "lora" || *text == "dpo");
      AddWrongKind(item, kExpected, problems_,
                   is_name ? fmt::format("write method: {{{}: {{}}}}", *text) : std::string());
      return false;
    }
    const bool has_lora = Find(*map, "lora") != nullptr;
    const bool has_dpo = Find(*map, "dpo") != nullptr;
    if (has_lora == has_dpo) {
      if (has_lora) {
        problems_.Invalid("method takes one of lora and dpo, not both", item.node.place,
                          "adapters with dpo are written below dpo: {lora: {…}}");
        return false;
      }
      for (const Entry& entry : *map) AddUnknown("method", entry);
      if (map->empty()) AddWrongKind(item, kExpected, problems_);
      return false;
    }
    if (has_lora) {
      draft_.job.method = LoraSpec{};
    } else {
      draft_.job.method = DpoSpec{};
    }
    return Section("method", item.node);
  }

  bool ReadRanks(const Item& item, const Range& range) {
    ResourcesSpec& resources = draft_.job.resources;
    if (item.node.AsMap() != nullptr) return Section("resources.ranks", item.node);
    std::int64_t ranks = 0;
    if (!std::holds_alternative<std::int64_t>(item.node.value)) {
      const std::string meant = NumberMeant(item.node);
      AddWrongKind(item, "a whole number, or {min: …, max: …}", problems_,
                   meant.empty() ? meant : fmt::format("write {}", meant));
      return false;
    }
    if (!ReadWhole(item, range, problems_, ranks)) return false;
    resources.ranks_min = ranks;
    resources.ranks_max = ranks;
    draft_.Give("resources.ranks.min", item.node.place);
    draft_.Give("resources.ranks.max", item.node.place);
    return true;
  }

  bool ReadSweep(const Item& item) {
    SweepSpec sweep;
    if (!ReadSweepSection(item, problems_, sweep)) return false;
    // Each value must fit its field, as it would in the spec.
    const Map* parameters = Find(*item.node.AsMap(), "parameters")->value.AsMap();
    bool good = true;
    for (const Entry& parameter : *parameters) {
      const Field* field = FindField(parameter.key);
      const std::size_t before = problems_.located().size();
      for (const Node& value : *parameter.value.AsList()) {
        Reader scratch(Form::kWritten, problems_);
        scratch.AssumeMethodOf(parameter.key);
        scratch.Value(*field, value);
      }
      good = good && problems_.located().size() == before;
    }
    if (good) draft_.sweep = std::move(sweep);
    return good;
  }

  // The method that a field below `method` is a part of.
  void AssumeMethodOf(std::string_view path) {
    if (path.starts_with("method.lora")) draft_.job.method = LoraSpec{};
    if (path.starts_with("method.dpo")) draft_.job.method = DpoSpec{.lora = LoraSpec{}};
  }

  Form form_;
  Problems& problems_;
  Draft draft_;
};

}  // namespace

Draft ReadDraft(const Node& root, Form form, Problems& problems) {
  Reader reader(form, problems);
  if (std::holds_alternative<Null>(root.value)) {
    problems.Invalid("the spec is empty", root.place, "tutti init writes one to start from");
    return reader.Take();
  }
  reader.Section("", root);
  return reader.Take();
}

}  // namespace tutti::spec
