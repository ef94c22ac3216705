#include "worker/model/config_fields.h"

#include <array>
#include <string_view>
#include <utility>

namespace tutti::model {
namespace {

struct Named {
  std::string_view name;
  Activation activation;
};
// Names of Transformers' ACT2FN.
constexpr std::array kActivations = {
    Named{"gelu", Activation::kGelu},
    Named{"gelu_python", Activation::kGelu},
    Named{"gelu_new", Activation::kGeluTanh},
    Named{"gelu_fast", Activation::kGeluTanh},
    Named{"gelu_pytorch_tanh", Activation::kGeluTanh},
    Named{"gelu_accurate", Activation::kGeluTanh},
    Named{"quick_gelu", Activation::kQuickGelu},
    Named{"relu", Activation::kRelu},
    Named{"silu", Activation::kSilu},
    Named{"swish", Activation::kSilu},
    Named{"tanh", Activation::kTanh},
};

}  // namespace

void Fields::Alias(const char* key, const char* other) {
  const Json* const own = Find(key);
  const Json* const found = Find(other);
  if (found == nullptr) return;
  if (own == nullptr) {
    aliases_[key] = other;
  } else if (*own != *found) {
    Wrong(other, "is " + ShowJson(found->dump()) + ", and " + key + ", which means the same, is " +
                     ShowJson(own->dump()));
  }
}

const char* Fields::NameOf(const char* key) const {
  const auto alias = aliases_.find(key);
  return alias == aliases_.end() ? key : alias->second;
}

const Fields::Json* Fields::Find(const char* key) const {
  const auto found = json_.find(NameOf(key));
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

bool Fields::IsNull(const char* key) const {
  const auto found = json_.find(key);
  return found != json_.end() && found->is_null();
}

void Fields::Integer(const char* key, std::int64_t from, std::int64_t to, std::int64_t& value) {
  const Json* found = Find(key);
  if (found == nullptr) return;
  if (!found->is_number_integer()) return Wrong(key, "is not an integer");
  const bool fits = !found->is_number_unsigned() || found->get<std::uint64_t>() <= INT64_MAX;
  const auto number = found->get<std::int64_t>();
  if (!fits || number < from || number > to) {
    return Wrong(
        key, "is " + found->dump() + ", not " + std::to_string(from) + " … " + std::to_string(to));
  }
  value = number;
}

void Fields::Number(const char* key, double from, double below, double& value) {
  const Json* found = Find(key);
  if (found == nullptr) return;
  if (!found->is_number()) return Wrong(key, "is not a number");
  const auto number = found->get<double>();
  if (!(number >= from && number < below)) {
    return Wrong(key, "is " + found->dump() + ": out of range");
  }
  value = number;
}

void Fields::Boolean(const char* key, bool& value) {
  const Json* found = Find(key);
  if (found == nullptr) return;
  if (!found->is_boolean()) return Wrong(key, "is not true or false");
  value = found->get<bool>();
}

void Fields::Probability(const char* key, float& value) {
  double number = static_cast<double>(value);
  Number(key, 0, 1, number);
  value = static_cast<float>(number);
}

void Fields::Epsilon(const char* key, float& value) { Probability(key, value); }

void Fields::ReadActivation(const char* key, Activation& value) {
  const Json* found = Find(key);
  if (found == nullptr) return;
  std::string supported;
  for (const Named& known : kActivations) {
    if (*found == known.name) {
      value = known.activation;
      return;
    }
    supported += (supported.empty() ? "" : ", ") + std::string(known.name);
  }
  Unsupported(key, *found, "supported: " + supported);
}

std::optional<std::int64_t> Fields::PaddingRow(const char* key, std::int64_t rows,
                                               std::int64_t& value) {
  const auto found = json_.find(key);
  if (found != json_.end() && found->is_null()) {
    value = -1;
    return std::nullopt;
  }
  if (found == json_.end()) return std::nullopt;
  std::int64_t id = 0;
  Integer(key, -rows, rows - 1, id);
  value = id < 0 ? id + rows : id;
  return id;
}

void Fields::False(const char* key) {
  const Json* found = Find(key);
  if (found != nullptr && *found != false) Unsupported(key, *found);
}

void Fields::Unsupported(const char* key, const Json& value, std::string hint) {
  Keep({ErrorCode::kUnsupported,
        std::string(key) + " = " + ShowJson(value.dump()) + " is not supported yet", path_,
        std::move(hint)});
}

void Fields::Wrong(const char* key, std::string what) {
  Keep({ErrorCode::kInvalid, std::string(NameOf(key)) + " " + std::move(what), path_, {}});
}

void Fields::Keep(Error error) {
  if (!error_) error_ = std::move(error);
}

Status Fields::Done() && {
  if (error_) return Fail(*std::move(error_));
  return {};
}

Result<nlohmann::json> ConfigObject(const ModelConfig& config) {
  nlohmann::json json = nlohmann::json::parse(config.text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Fail(ErrorCode::kInvalid, "is not a JSON object", config.path);
  return json;
}

}  // namespace tutti::model
