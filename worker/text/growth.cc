#include "worker/text/growth.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/json/limits.h"

namespace tutti::text {
namespace {

using Json = nlohmann::json;

constexpr double kGrowthMax = 256;
constexpr std::size_t kPrependMax = 4096;
// A tokenizer has a handful of steps.
constexpr JsonLimits kStepsLimits{.depth_max = 64, .values_max = 10'000};

struct Growth {
  double factor = 1;
  std::size_t prepended = 0;  // bytes

  void Then(const Growth& next) {
    factor *= next.factor;
    prepended += next.prepended;
  }
};

std::string TextIn(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Growth OfReplace(const Json& step) {
  const auto content = static_cast<double>(TextIn(step, "content").size());
  const auto pattern = step.find("pattern");
  std::string fixed;
  if (pattern != step.end() && pattern->is_object()) fixed = TextIn(*pattern, "String");
  // A regular expression may match nothing, between any two bytes.
  if (fixed.empty()) return {.factor = 1 + content};
  return {.factor = std::max(1.0, content / static_cast<double>(fixed.size()))};
}

// Steps that reach a fixed point (NFKC, Lowercase, …) do not grow by being repeated: they count
// as 1.
Growth OfStep(const Json& step) {
  if (!step.is_object()) return {};
  const std::string type = TextIn(step, "type");
  if (type == "Replace") return OfReplace(step);
  if (type == "ByteLevel") return {.factor = 2};
  if (type == "Prepend") return {.prepended = TextIn(step, "prepend").size()};
  Growth all;
  for (const char* list : {"normalizers", "decoders"}) {
    const auto steps = step.find(list);
    if (steps == step.end() || !steps->is_array()) continue;
    for (const Json& each : *steps) all.Then(OfStep(each));
  }
  return all;
}

}  // namespace

Status CheckGrowth(std::string_view json, const std::string& where) {
  for (const char* part : {"normalizer", "decoder"}) {
    for (const std::string_view text : MembersNamed(json, part)) {
      TUTTI_RETURN_IF_ERROR(CheckJsonLimits(text, kStepsLimits, where));
      const Json step = Json::parse(text, nullptr, /*allow_exceptions=*/false);
      const Growth growth = OfStep(step);
      if (growth.factor > kGrowthMax || growth.prepended > kPrependMax) {
        return Fail(ErrorCode::kInvalid,
                    std::string("the ") + part + " can make a text far longer than it was", where,
                    "its replacements may make 256 bytes of one at most, and put 4 KiB before it");
      }
    }
  }
  return {};
}

}  // namespace tutti::text
