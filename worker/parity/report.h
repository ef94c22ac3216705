// The lines of a parity run and their count. One thread.
#pragma once

#include <cstdint>
#include <ostream>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace tutti::parity {

// Numbers agree when |got − want| ≤ absolute + relative · |want|.
struct Tolerance {
  double absolute = 0;
  double relative = 0;
};

// Of a loss: 1e-5 absolute, relative above 1.
Tolerance LossTolerance(double want);

class Report {
 public:
  explicit Report(std::ostream& out) : out_(out) {}

  // `details` follows the name: "max_abs=1e-07".
  void Case(bool ok, std::string_view name, std::string_view details);
  void Skip(std::string_view name, std::string_view why);
  void Refused(std::string_view name, const Error& error) { Case(false, name, error.ToString()); }

  // One case: sizes are the same and all elements agree; NaN never does.
  void Compare(std::string_view name, std::span<const float> got, std::span<const float> want,
               Tolerance tolerance);
  void Compare(std::string_view name, std::span<const double> got, std::span<const double> want,
               Tolerance tolerance);

  // Prints the count.
  void Finish();
  std::int64_t passed() const { return passed_; }
  std::int64_t failed() const { return failed_; }

 private:
  template <typename T>
  void CompareAll(std::string_view name, std::span<const T> got, std::span<const T> want,
                  Tolerance tolerance);

  std::ostream& out_;
  std::int64_t passed_ = 0;
  std::int64_t failed_ = 0;
};

}  // namespace tutti::parity
