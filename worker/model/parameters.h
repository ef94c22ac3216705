// Where each parameter lies in the flat buffers of weights, gradients and optimizer state: one
// order, one set of offsets for all of them. A value; immutable once its model is made.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tutti::model {

struct ParameterInfo {
  std::string name;                 // as Transformers saves it
  std::vector<std::int64_t> shape;  // row-major
  std::int64_t offset = 0;          // in floats
  std::int64_t count = 0;           // elements
  bool decay = true;                // takes weight decay
  std::int64_t padding_row = -1;    // row of an embedding that look-ups give no gradient; -1: none
  // A checkpoint may lack it: then it starts as draws of this standard deviation (0: zeros).
  std::optional<double> fresh_deviation{};
};

// How a family's checkpoints call things.
struct CheckpointNames {
  std::string architecture{};          // "BertForSequenceClassification"
  std::string base{};                  // "bert.": left out in checkpoints of the headless model
  std::vector<std::string> ignored{};  // prefixes, without `base`: other heads, buffers
  std::vector<std::string> ignored_endings{};
  std::string tied{};  // the parameter that lm_head.weight may stand for, where it alone is stored
};

struct ParameterOptions {
  bool norm = false;              // belongs to a normalisation layer
  std::int64_t padding_row = -1;  // this one and the next as in ParameterInfo
  std::optional<double> fresh_deviation{};
};

// Whether Transformers' Trainer decays a parameter of this name (get_decay_parameter_names of
// Transformers 5, without its rule for normalisation classes).
bool DecaysByName(std::string_view name);

class ParameterLayout {
 public:
  static constexpr std::int64_t kAlignment = 16;  // floats: 64 bytes
  static constexpr std::int64_t kBlock = 65'536;  // floats: what the norm is summed by

  // Appends a parameter and returns its offset.
  std::int64_t Add(std::string name, std::vector<std::int64_t> shape,
                   const ParameterOptions& options = {});

  const std::vector<ParameterInfo>& parameters() const { return parameters_; }
  const ParameterInfo* Find(std::string_view name) const;  // null: no such parameter
  // Floats of a flat buffer: what the parameters need, rounded up to a multiple of kBlock. The gaps
  // and the end belong to no parameter and stay zero.
  std::int64_t total() const { return (end_ + kBlock - 1) / kBlock * kBlock; }
  // Elements of all parameters.
  std::int64_t elements() const { return elements_; }

 private:
  std::vector<ParameterInfo> parameters_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
  std::int64_t end_ = 0;
  std::int64_t elements_ = 0;
};

}  // namespace tutti::model
