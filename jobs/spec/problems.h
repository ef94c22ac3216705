// What is wrong with a spec, collected while it is read: every problem and where it stands. A value
// that one thread fills.
#pragma once

#include <string>
#include <vector>

#include "common/base/result.h"
#include "jobs/spec/tree.h"
#include "jobs/spec/yaml.h"

namespace tutti::spec {

class Problems {
 public:
  // Kept up to a bound well above kErrorsMax, dropped beyond.
  void Add(ErrorCode code, std::string message, const Place& place, std::string hint = {});
  void Invalid(std::string message, const Place& place, std::string hint = {}) {
    Add(ErrorCode::kInvalid, std::move(message), place, std::move(hint));
  }

  bool empty() const { return errors_.empty(); }
  // True once so many are kept that more would not be shown: time to stop thinking up hints.
  bool enough() const { return errors_.size() >= kErrorsMax; }
  // For the readers of text.
  std::vector<LocatedError>& located() { return errors_; }

  // In reading order, at most kErrorsMax; *this is empty afterwards.
  std::vector<Error> Take();

 private:
  std::vector<LocatedError> errors_;
};

}  // namespace tutti::spec
