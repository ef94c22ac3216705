#include "worker/model/adapter.h"

#include <algorithm>
#include <cmath>
#include <regex>
#include <set>
#include <string_view>
#include <utility>

#include "common/base/check.h"
#include "worker/model/random.h"

namespace tutti::model {
namespace {

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::size_t kPatternMax = 1024;
constexpr std::size_t kNamesShown = 8;

// `name` is `ending`, or ends with it as whole parts.
bool EndsWithParts(std::string_view name, std::string_view ending) {
  if (!name.ends_with(ending)) return false;
  return name.size() == ending.size() || name[name.size() - ending.size() - 1] == '.';
}

// Whether a parameter is of a module that is called so: some part of its path, the last apart.
bool BelongsTo(std::string_view name, std::string_view module) {
  for (std::size_t at = name.find('.'); at != name.npos; at = name.find('.', at + 1)) {
    if (EndsWithParts(name.substr(0, at), module)) return true;
  }
  return false;
}

Result<std::regex> Compile(const std::string& pattern, const std::string& where) {
  if (pattern.size() > kPatternMax) {
    return Fail(ErrorCode::kInvalid, "a pattern of more than 1,024 characters", where);
  }
  try {
    return std::regex(pattern, std::regex::ECMAScript);
  } catch (const std::regex_error& e) {
    return Fail(ErrorCode::kInvalid, "'" + pattern + "' is no regular expression: " + e.what(),
                where);
  }
}

// PEFT's match of rank_pattern and alpha_pattern: a key is the end of a name, from a dot on.
template <typename T>
Result<T> ValueFor(const std::string& module, const std::map<std::string, T>& by_pattern,
                   T otherwise, const char* where) {
  for (const auto& [key, value] : by_pattern) {
    TUTTI_ASSIGN_OR_RETURN(const std::regex pattern, Compile("(.*\\.)?(" + key + ")", where));
    if (std::regex_match(module, pattern)) return value;
  }
  return otherwise;
}

// The first number among the parts of a name: "model.layers.3.mlp" is of layer 3.
std::optional<std::int64_t> LayerOf(std::string_view module) {
  for (std::size_t at = 0; at < module.size();) {
    const std::size_t end = std::min(module.find('.', at), module.size());
    const std::string_view part = module.substr(at, end - at);
    if (!part.empty() && part.size() < 10 &&
        part.find_first_not_of("0123456789") == std::string_view::npos) {
      return std::stoll(std::string(part));
    }
    at = end + 1;
  }
  return std::nullopt;
}

bool IsHead(std::string_view name) {
  return BelongsTo(std::string(name) + ".", "classifier") ||
         BelongsTo(std::string(name) + ".", "score");
}

// Whether a linear layer is asked for by name.
class Targets {
 public:
  static Result<Targets> Of(const LoraOptions& options, const AdaptedModel& model) {
    Targets targets;
    targets.options_ = &options;
    const bool none = options.target_modules.empty() && !options.target_pattern;
    const auto names = none ? model.default_targets : std::span(options.target_modules);
    targets.names_.assign(names.begin(), names.end());
    if (options.target_pattern) {
      TUTTI_ASSIGN_OR_RETURN(targets.pattern_, Compile(*options.target_pattern, "target_modules"));
    }
    return targets;
  }

  bool Has(const LinearModule& module) const {
    if (!options_->layers_to_transform.empty()) {
      const auto layer = LayerOf(module.name);
      if (!layer || std::ranges::find(options_->layers_to_transform, *layer) ==
                        options_->layers_to_transform.end()) {
        return false;
      }
    }
    if (options_->all_linear) return !module.output && !IsHead(module.name);
    if (pattern_) return std::regex_match(module.name, *pattern_);
    return std::ranges::any_of(
        names_, [&](const std::string& name) { return EndsWithParts(module.name, name); });
  }

  std::string Wanted() const {
    if (options_->all_linear) return "all-linear";
    if (options_->target_pattern) return *options_->target_pattern;
    std::string list;
    for (const std::string& name : names_) list += (list.empty() ? "" : ", ") + name;
    return list;
  }

 private:
  const LoraOptions* options_ = nullptr;
  std::vector<std::string> names_;
  std::optional<std::regex> pattern_;
};

// "q_proj, v_proj, …": the last parts of linear layers.
std::string KindsOf(std::span<const LinearModule> linears) {
  std::set<std::string> kinds;
  for (const LinearModule& one : linears) {
    kinds.insert(one.name.substr(one.name.rfind('.') + 1));
  }
  std::string list;
  std::size_t shown = 0;
  for (const std::string& kind : kinds) {
    if (++shown > kNamesShown) return list + ", …";
    list += (list.empty() ? "" : ", ") + kind;
  }
  return list;
}

void Scale(float factor, std::int64_t count, float* values) {
  for (std::int64_t i = 0; i < count; ++i) values[i] *= factor;
}

// x with its dropout applied; x itself where there is none.
const float* Dropped(const LoraPass& pass, const Kernels& kernels, Arena& arena) {
  if (!(pass.dropout.probability > 0)) return pass.x;
  const std::int64_t count = pass.rows * pass.lora.shape.in;
  float* const copy = arena.Take(count);
  std::copy_n(pass.x, count, copy);
  kernels.dropout(pass.dropout, count, copy);
  return copy;
}

// scale · dropout(x)·Aᵀ, [rows, r].
float* Narrow(const LoraPass& pass, const float* x, Arena& arena) {
  const Adapter::Lora& l = pass.lora;
  float* const u = arena.Take(pass.rows * l.r);
  LinearForward({pass.rows, l.shape.in, l.r}, x, l.shape.in, pass.trained + l.a, u, l.r);
  Scale(l.scale, pass.rows * l.r, u);
  return u;
}

}  // namespace

Status Adapter::AddSaved(const AdaptedModel& model) {
  std::vector<std::string> modules = options_.modules_to_save;
  if (model.classifies) modules.insert(modules.end(), {"classifier", "score"});
  for (const std::string& module : options_.modules_to_save) {
    const bool there = std::ranges::any_of(
        model.layout.parameters(),
        [&](const ParameterInfo& parameter) { return BelongsTo(parameter.name, module); });
    if (there) continue;
    return Fail(ErrorCode::kInvalid, "the model has no module '" + module + "' with weights",
                "modules_to_save", "name a module's last parts, as in Transformers");
  }
  for (const ParameterInfo& parameter : model.layout.parameters()) {
    const bool is_saved = std::ranges::any_of(
        modules, [&](const std::string& module) { return BelongsTo(parameter.name, module); });
    if (!is_saved) continue;
    ParameterOptions options{.norm = !parameter.decay, .padding_row = parameter.padding_row};
    const std::int64_t offset =
        layout_.Add(std::string(kPrefix) + parameter.name, parameter.shape, options);
    saved_.push_back({parameter.offset, parameter.offset + parameter.count, offset});
  }
  for (const LinearModule& one : model.linears) {
    const bool is_saved = std::ranges::any_of(
        modules, [&](const std::string& module) { return BelongsTo(one.name + ".", module); });
    if (!one.output || is_saved || !PlaceOf(one.weight)) continue;
    return Fail(ErrorCode::kUnsupported,
                "training the embedding fully is not supported yet where it is the output layer, "
                "too",
                "modules_to_save", "leave the embedding out, or use method: full");
  }
  return {};
}

Status Adapter::AddLoras(const AdaptedModel& model) {
  TUTTI_ASSIGN_OR_RETURN(const Targets targets, Targets::Of(options_, model));
  for (const LinearModule& module : model.linears) {
    if (!targets.Has(module) || PlaceOf(module.weight)) continue;
    if (module.output) {
      return Fail(ErrorCode::kUnsupported,
                  "an adapter of the output layer " + module.name + " is not supported yet",
                  "target_modules", "name it in modules_to_save to train it fully");
    }
    Lora lora{.module = module.name, .weight = module.weight, .shape = module.shape};
    TUTTI_ASSIGN_OR_RETURN(
        lora.r, ValueFor(module.name, options_.rank_pattern, options_.r, "rank_pattern"));
    TUTTI_ASSIGN_OR_RETURN(const double alpha, ValueFor(module.name, options_.alpha_pattern,
                                                        options_.lora_alpha, "alpha_pattern"));
    if (lora.r < 1) return Fail(ErrorCode::kInvalid, "a rank is below 1", "rank_pattern");
    const auto r = static_cast<double>(lora.r);
    lora.scale = static_cast<float>(alpha / (options_.use_rslora ? std::sqrt(r) : r));
    const std::string name = std::string(kPrefix) + module.name;
    lora.a = layout_.Add(name + ".lora_A.weight", {lora.r, module.shape.in});
    lora.b = layout_.Add(name + ".lora_B.weight", {module.shape.out, lora.r});
    loras_.push_back(std::move(lora));
  }
  if (!loras_.empty()) return {};
  return Fail(ErrorCode::kInvalid, "no linear layer is called " + targets.Wanted(),
              "target_modules", "there are " + KindsOf(model.linears) + "; or write all-linear");
}

Result<Adapter> Adapter::Make(const LoraOptions& options, const AdaptedModel& model) {
  Adapter adapter;
  adapter.options_ = options;
  TUTTI_RETURN_IF_ERROR(adapter.AddSaved(model));
  TUTTI_RETURN_IF_ERROR(adapter.AddLoras(model));
  std::ranges::sort(adapter.loras_, {}, &Lora::weight);
  return adapter;
}

const Adapter::Lora* Adapter::Find(std::int64_t weight) const {
  const auto found = std::ranges::lower_bound(loras_, weight, {}, &Lora::weight);
  return found == loras_.end() || found->weight != weight ? nullptr : &*found;
}

std::optional<std::int64_t> Adapter::PlaceOf(std::int64_t base_offset) const {
  for (const Saved& one : saved_) {
    if (base_offset >= one.begin && base_offset < one.end) {
      return one.offset + base_offset - one.begin;
    }
  }
  return std::nullopt;
}

// Kaiming's uniform draws with a = √5, as torch.nn.Linear's: within ±1/√in.
void Adapter::Initialise(const WeightPlace& base, std::uint64_t seed,
                         std::span<float> trained) const {
  TUTTI_CHECK(trained.size() == static_cast<std::size_t>(layout_.total()), trained.size());
  std::ranges::fill(trained, 0.0F);
  for (const Saved& one : saved_) {
    base.At(one.begin).CopyTo(trained.subspan(static_cast<std::size_t>(one.offset),
                                              static_cast<std::size_t>(one.end - one.begin)));
  }
  for (const Lora& lora : loras_) {
    const auto a = trained.subspan(static_cast<std::size_t>(lora.a),
                                   static_cast<std::size_t>(lora.r * lora.shape.in));
    FillUniform(HashSeed(seed, lora.module + ".lora_A"),
                1 / std::sqrt(static_cast<double>(lora.shape.in)), a);
  }
}

void Adapter::Merge(std::span<const float> trained, std::span<float> weights) const {
  for (const Saved& one : saved_) {
    std::copy_n(trained.begin() + one.offset, one.end - one.begin, weights.begin() + one.begin);
  }
  for (const Lora& lora : loras_) {
    // W [out, in] += scale · B [out, r] · A [r, in], or the transposed.
    const LinearShape& s = lora.shape;
    std::vector<float> b(trained.begin() + lora.b, trained.begin() + lora.b + s.out * lora.r);
    Scale(lora.scale, s.out * lora.r, b.data());
    const float* const a = trained.data() + lora.a;
    float* const w = weights.data() + lora.weight;
    if (s.input_major) {
      std::vector<float> transposed(static_cast<std::size_t>(lora.r * s.out));
      for (std::int64_t i = 0; i < s.out; ++i) {
        for (std::int64_t j = 0; j < lora.r; ++j) {
          transposed[static_cast<std::size_t>(j * s.out + i)] =
              b[static_cast<std::size_t>(i * lora.r + j)];
        }
      }
      LinearWeightGradient({lora.r, s.out, s.in}, a, s.in, transposed.data(), s.out, w);
    } else {
      LinearInputGradient({s.out, s.in, lora.r}, b.data(), lora.r, a, w, s.in, /*add=*/true);
    }
  }
}

void AddLora(const LoraPass& pass, const Kernels& kernels, Arena& arena, float* y,
             std::int64_t stride) {
  const Arena::Mark mark = arena.Now();
  const Adapter::Lora& l = pass.lora;
  const float* const u = Narrow(pass, Dropped(pass, kernels, arena), arena);
  // y += u · Bᵀ: B [out, r] is the weight of a layer from r to out, read the other way round.
  const LinearShape widen{pass.rows, l.shape.out, l.r, /*input_major=*/true};
  LinearInputGradient(widen, u, l.r, pass.trained + l.b, y, stride, /*add=*/true);
  arena.Release(mark);
}

void AddLoraGradients(const LoraPass& pass, const Kernels& kernels, Arena& arena,
                      const LoraGradients& g) {
  const Arena::Mark mark = arena.Now();
  const Adapter::Lora& l = pass.lora;
  const std::int64_t in = l.shape.in, out = l.shape.out, rows = pass.rows;
  const float* const x = Dropped(pass, kernels, arena);
  const float* const u = Narrow(pass, x, arena);
  LinearWeightGradient({rows, l.r, out}, g.dy, g.stride, u, l.r, g.grads + l.b);
  float* const du = arena.Take(rows * l.r);
  LinearInputGradient({rows, l.r, out}, g.dy, g.stride, pass.trained + l.b, du, l.r,
                      /*add=*/false);
  Scale(l.scale, rows * l.r, du);
  LinearWeightGradient({rows, in, l.r}, du, l.r, x, in, g.grads + l.a);
  if (!(pass.dropout.probability > 0)) {
    LinearInputGradient({rows, in, l.r}, du, l.r, pass.trained + l.a, g.dx, in, /*add=*/true);
  } else {
    float* const dx = arena.Take(rows * in);
    LinearInputGradient({rows, in, l.r}, du, l.r, pass.trained + l.a, dx, in, /*add=*/false);
    kernels.dropout(pass.dropout, rows * in, dx);
    kernels.add(rows * in, g.dx, dx);
  }
  arena.Release(mark);
}

}  // namespace tutti::model
