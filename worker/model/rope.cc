#include "worker/model/rope.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <string>

#include "common/base/check.h"
#include "worker/model/config_fields.h"

namespace tutti::model {
namespace {

using Json = nlohmann::json;

constexpr double kHuge = 1e12;
constexpr const char* kKinds = "supported: default, linear, dynamic, llama3, yarn";

struct Parameters {
  std::string kind = "default";
  double theta = 10'000;
  double factor = 1;
  std::int64_t original_positions = 0;
  double low = 1, high = 4;              // llama3's wavelengths
  double beta_fast = 32, beta_slow = 1;  // yarn's
  double attention_factor = 0;           // 0: by yarn's rule
  double mscale = 0, mscale_all = 0;
  bool truncate = true;

  bool operator==(const Parameters&) const = default;
};

// In float, as PyTorch computes them: 1 / theta^(2i / head_dim).
std::vector<float> PlainFrequencies(const Parameters& p, std::int64_t head_dim) {
  std::vector<float> frequencies;
  for (std::int64_t i = 0; i < head_dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(head_dim);
    frequencies.push_back(1.0F / std::pow(static_cast<float>(p.theta), exponent));
  }
  return frequencies;
}

// Long wavelengths are interpolated, short ones are not, those between go from one to the other.
void ScaleLlama3(const Parameters& p, std::vector<float>& frequencies) {
  const auto original = static_cast<double>(p.original_positions);
  const double longest = original / p.low, shortest = original / p.high;
  for (float& frequency : frequencies) {
    const auto plain = static_cast<double>(frequency);
    const double wavelength = 2 * std::numbers::pi / plain;
    if (wavelength < shortest) continue;
    double scaled = plain / p.factor;
    if (wavelength <= longest) {
      const double smooth = (original / wavelength - p.low) / (p.high - p.low);
      scaled = (1 - smooth) * plain / p.factor + smooth * plain;
    }
    frequency = static_cast<float>(scaled);
  }
}

// Peng et al. 2023: dimensions that turn less than beta_slow times are interpolated, those that
// turn more than beta_fast times are not.
void ScaleYarn(const Parameters& p, std::int64_t head_dim, std::vector<float>& frequencies) {
  const auto dim = static_cast<double>(head_dim);
  const auto boundary = [&](double turns) {
    return dim *
           std::log(static_cast<double>(p.original_positions) / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(p.theta));
  };
  double low = boundary(p.beta_fast), high = boundary(p.beta_slow);
  if (p.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    const auto plain = static_cast<double>(frequencies[i]);
    frequencies[i] = static_cast<float>(plain / p.factor * ramp + plain * (1 - ramp));
  }
}

double YarnScale(const Parameters& p) {
  if (p.attention_factor > 0) return p.attention_factor;
  const auto of = [&p](double mscale) {
    return p.factor <= 1 ? 1.0 : 0.1 * mscale * std::log(p.factor) + 1.0;
  };
  return p.mscale > 0 && p.mscale_all > 0 ? of(p.mscale) / of(p.mscale_all) : of(1);
}

void ReadKind(Fields& fields, const char* key, Parameters& p) {
  const Json* found = fields.Find(key);
  if (found == nullptr) return;
  for (const char* kind : {"default", "linear", "dynamic", "llama3", "yarn"}) {
    if (*found != kind) continue;
    p.kind = kind;
    return;
  }
  fields.Unsupported(key, *found, kKinds);
}

// What rope_parameters, or rope_scaling, hold.
Status ReadParameters(const Json& object, const std::string& path, Parameters& p) {
  Fields fields(object, path);
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) fields.Unsupported(key.c_str(), value, "give all layers one rope");
  }
  ReadKind(fields, "type", p);
  ReadKind(fields, "rope_type", p);
  fields.Number("rope_theta", 1e-3, kHuge, p.theta);
  fields.Number("factor", 1e-6, kHuge, p.factor);
  fields.Integer("original_max_position_embeddings", 1, 1 << 30, p.original_positions);
  fields.Number("low_freq_factor", 1e-6, kHuge, p.low);
  fields.Number("high_freq_factor", 1e-6, kHuge, p.high);
  fields.Number("beta_fast", 1e-6, kHuge, p.beta_fast);
  fields.Number("beta_slow", 1e-6, kHuge, p.beta_slow);
  fields.Number("attention_factor", 1e-6, kHuge, p.attention_factor);
  fields.Number("mscale", 0, kHuge, p.mscale);
  fields.Number("mscale_all_dim", 0, kHuge, p.mscale_all);
  fields.Boolean("truncate", p.truncate);
  double part = 1;
  fields.Number("partial_rotary_factor", 0, kHuge, part);
  if (part != 1) {
    fields.Unsupported("partial_rotary_factor", object["partial_rotary_factor"], "supported: 1");
  }
  if (p.kind != "default" && p.kind != "dynamic" && fields.Find("factor") == nullptr) {
    fields.Wrong("factor", "is missing: rope '" + p.kind + "' needs it");
  }
  if (p.kind == "yarn" && p.theta == 1) {
    fields.Wrong("rope_theta", "is 1: rope 'yarn' divides by its logarithm");
  }
  if (p.kind == "llama3" && !(p.high > p.low)) {
    fields.Wrong("high_freq_factor", "is not above low_freq_factor");
  }
  return std::move(fields).Done();
}

// Null where there is none, or an empty one, which says nothing.
const Json* ObjectIn(Fields& fields, const char* key) {
  const Json* const found = fields.Find(key);
  if (found != nullptr && !found->is_object()) fields.Wrong(key, "is not an object");
  return found == nullptr || found->empty() ? nullptr : found;
}

}  // namespace

Result<RopeConfig> ParseRope(const Json& json, const std::string& path, const RopeShape& shape) {
  Parameters p;
  Fields fields(json, path);
  fields.Number("rope_theta", 1e-3, kHuge, p.theta);
  double part = 1;
  fields.Number("partial_rotary_factor", 0, kHuge, part);
  if (part != 1) {
    fields.Unsupported("partial_rotary_factor", json["partial_rotary_factor"], "supported: 1");
  }
  const Json* const modern = ObjectIn(fields, "rope_parameters");
  const Json* const old = ObjectIn(fields, "rope_scaling");
  TUTTI_RETURN_IF_ERROR(std::move(fields).Done());
  const Parameters plain = p;
  if (modern != nullptr) TUTTI_RETURN_IF_ERROR(ReadParameters(*modern, path, p));
  if (old != nullptr) {
    Parameters other = plain;
    TUTTI_RETURN_IF_ERROR(ReadParameters(*old, path, other));
    if (modern != nullptr && other != p) {
      return Fail(ErrorCode::kInvalid,
                  "rope_scaling and rope_parameters are both there and say different things", path,
                  "Transformers 5 takes rope_scaling then: remove the other one");
    }
    p = std::move(other);
  }
  if (shape.head_dim % 2 != 0) {
    return Fail(ErrorCode::kInvalid, "head_dim is odd: its halves are rotated", path);
  }
  if (p.original_positions == 0) p.original_positions = shape.positions;
  RopeConfig rope{.frequencies = PlainFrequencies(p, shape.head_dim)};
  if (p.kind == "linear") {
    for (float& frequency : rope.frequencies) frequency /= static_cast<float>(p.factor);
  } else if (p.kind == "llama3") {
    ScaleLlama3(p, rope.frequencies);
  } else if (p.kind == "yarn") {
    ScaleYarn(p, shape.head_dim, rope.frequencies);
    rope.scale = static_cast<float>(YarnScale(p));
  } else if (p.kind == "dynamic") {
    rope.positions_max = shape.positions;  // as far as it is the plain one
  }
  return rope;
}

void RopeTable::Reserve(std::int64_t positions) {
  for (; positions_ < positions; ++positions_) {
    for (const float frequency : config_.frequencies) {
      const float angle = frequency * static_cast<float>(positions_);
      cosines_.push_back(std::cos(angle) * config_.scale);
      sines_.push_back(std::sin(angle) * config_.scale);
    }
  }
}

void RopeTable::Turn(std::int64_t position, std::int64_t heads, float* x, float direction) const {
  TUTTI_CHECK(position < positions_, "position ", position, " of ", positions_);
  const std::size_t half = config_.frequencies.size();
  const float* const cosines = cosines_.data() + static_cast<std::size_t>(position) * half;
  const float* const sines = sines_.data() + static_cast<std::size_t>(position) * half;
  for (std::int64_t head = 0; head < heads; ++head, x += 2 * half) {
    for (std::size_t i = 0; i < half; ++i) {
      const float a = x[i], b = x[half + i], sine = direction * sines[i];
      x[i] = a * cosines[i] - b * sine;
      x[half + i] = b * cosines[i] + a * sine;
    }
  }
}

}  // namespace tutti::model
