// Reads the fields of a config.json one by one and remembers the first that is wrong or that Tutti
// does not build. For the families' own parts (bert_config.cc and its like); borrows the object.
// One thread.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "worker/model/config.h"
#include "worker/model/kernels.h"

namespace tutti::model {

inline constexpr std::int64_t kConfigSizeMax = 1 << 20;  // of a width

class Fields {
 public:
  using Json = nlohmann::json;

  Fields(const Json& json, const std::string& path) : json_(json), path_(path) {}

  // `key` may be called `other`, too: attribute_map of Transformers. Both, and not the same, is
  // wrong. Before `key` is read.
  void Alias(const char* key, const char* other);

  // Absent fields, null and those that are wrong leave `value` as it is: what is read can be
  // reckoned with at once, before Done says whether all of it was good.
  const Json* Find(const char* key) const;  // null: absent
  bool IsNull(const char* key) const;       // there, and null
  void Integer(const char* key, std::int64_t from, std::int64_t to, std::int64_t& value);
  void Number(const char* key, double from, double below, double& value);
  void Boolean(const char* key, bool& value);
  void Probability(const char* key, float& value);  // in [0, 1)
  void Epsilon(const char* key, float& value);
  // One of Transformers' names; kUnsupported lists those that are there.
  void ReadActivation(const char* key, Activation& value);
  // The row of an embedding of `rows` that look-ups give no gradient: -1 where the field is null.
  // Negative ids count from the end, as nn.Embedding has it. Returns the id as it is given: a
  // negative one is no token's, so that no token is padding. nullopt where there is none.
  std::optional<std::int64_t> PaddingRow(const char* key, std::int64_t rows, std::int64_t& value);
  void False(const char* key);  // anything but false is not built

  void Unsupported(const char* key, const Json& value, std::string hint = {});
  void Wrong(const char* key, std::string what);
  void Keep(Error error);
  Status Done() &&;

 private:
  const char* NameOf(const char* key) const;  // that it is given by

  const Json& json_;
  const std::string& path_;
  std::map<std::string_view, const char*> aliases_;
  std::optional<Error> error_;
};

// The object of a config.json that ParseModelConfig has read.
Result<nlohmann::json> ConfigObject(const ModelConfig& config);

}  // namespace tutti::model
