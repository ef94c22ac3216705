// The one table of a spec's fields: path, type, range, meaning. The parser, validation, the JSON
// form, the JSON Schema and `tutti init` all read it; a new field is a row here (and a member in
// spec.h). Constant after its first use, safe from any thread.
#pragma once

#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "jobs/spec/spec.h"
#include "jobs/spec/sweep.h"
#include "jobs/spec/tree.h"

namespace tutti::spec {

struct Field;

// A spec on its way from text to JobSpec: what was written, and where.
struct Draft {
  JobSpec job;
  // Accepted for those who come from TrainingArguments, resolved into global_batch_size.
  std::optional<std::int64_t> per_device_train_batch_size;
  std::optional<std::int64_t> gradient_accumulation_steps;
  std::optional<SweepSpec> sweep;
  std::set<std::string, std::less<>> broken;  // paths whose value could not be read

  // What was written stands there: a field, a section, an entry of a mapping, "" = the whole.
  void Give(std::string_view path, const Place& place);
  void Give(const Field& field, const Place& place);
  bool Has(std::string_view path) const { return Given(path) != nullptr; }
  // False when what is known of these fields may not be what was meant: no rule about them applies.
  bool AreSound(std::initializer_list<std::string_view> paths) const;
  // Where the field stands; the nearest section around it when it is not given.
  Place Where(std::string_view path) const;

 private:
  const Place* Given(std::string_view path) const;  // nullptr when it was not

  std::vector<std::optional<Place>> given_fields_;  // by row of Fields(); empty before the first
  std::map<std::string, Place, std::less<>> given_others_;
};

struct Range {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool above_min = false;  // min itself is outside
  bool below_max = false;  // max itself is outside

  bool Contains(double value) const;  // false for NaN and infinities
  std::string ToString() const;       // "at least 1", "above 0 and below 1"
};

inline constexpr Range kPositive = {.min = 0, .above_min = true};
inline constexpr Range kNotNegative = {.min = 0};

template <typename T>
using Ref = T& (*)(Draft&);

// One of a fixed list of words.
struct Choice {
  std::span<const std::string_view> names;
  std::string_view (*get)(const Draft&) = nullptr;
  void (*set)(Draft&, std::string_view) = nullptr;  // REQUIRES: one of `names`
};

// What no plain type describes; read.cc, json.cc and schema.cc each know all of these.
enum class Shape {
  kSection,          // a mapping whose rows follow with this path as prefix
  kEval,             // a path, or a fraction
  kMethod,           // full, or a mapping with lora or dpo
  kRanks,            // a whole number, or {min, max}
  kTargetModules,    // all-linear, or a list of names
  kSchedulerKwargs,  // name -> number or text
  kRetryOn,          // a list of reasons
  kWebhooks,         // a list of {url, on}
  kInputs,           // resolved form only
  kSweep,            // sweep files only
};

struct Custom {
  Shape shape;
  LoraSpec& (*lora)(Draft&) = nullptr;  // kTargetModules only
};

using TextList = std::vector<std::string>;
using TextMap = std::map<std::string, std::string>;
using Access = std::variant<Ref<bool>, Ref<std::int64_t>, Ref<double>, Ref<std::string>,
                            Ref<std::optional<bool>>, Ref<std::optional<std::int64_t>>,
                            Ref<std::optional<std::string>>, Ref<std::optional<Duration>>,
                            Ref<std::optional<Bytes>>, Ref<TextList>, Ref<TextMap>, Choice, Custom>;

enum class Use {
  kOptional,
  kRequired,
  kDerived,   // its default depends on other fields: resolve.h
  kWritten,   // accepted in a file, not part of the resolved form
  kResolved,  // part of the resolved form only
};

struct Field {
  std::string path;  // "training.learning_rate"
  Access access;
  Use use = Use::kOptional;
  Range range{};
  std::string_view description;
  std::string_view since = "0.1.0";

  std::string_view name() const;     // "learning_rate"
  std::string_view section() const;  // "training", "" at the top
  bool is_section() const;           // has rows of its own
};

// Sections before their rows.
const std::vector<Field>& Fields();
// nullptr when there is none of this path.
const Field* FindField(std::string_view path);
// The names of a section's rows ("" = the top).
std::vector<std::string_view> NamesIn(std::string_view section);
// Where the row's section is not part of this draft: method.lora.* of a full fine-tuning.
bool IsPresent(const Field& field, const Draft& draft);

}  // namespace tutti::spec
