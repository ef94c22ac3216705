#include "worker/parity/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace tutti::parity {
namespace {

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

}  // namespace

Tolerance LossTolerance(double want) { return {.absolute = 1e-5 * std::max(1.0, std::fabs(want))}; }

void Report::Case(bool ok, std::string_view name, std::string_view details) {
  ++(ok ? passed_ : failed_);
  out_ << (ok ? "ok " : "FAIL ") << name;
  if (!details.empty()) out_ << ' ' << details;
  out_ << '\n';
}

void Report::Skip(std::string_view name, std::string_view why) {
  out_ << "skip " << name << ' ' << why << '\n';
}

template <typename T>
void Report::CompareAll(std::string_view name, std::span<const T> got, std::span<const T> want,
                        Tolerance tolerance) {
  if (got.size() != want.size()) {
    Case(false, name,
         std::to_string(got.size()) + " numbers, expected " + std::to_string(want.size()));
    return;
  }
  double largest = 0;
  std::size_t wrong = 0, first = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto x = static_cast<double>(got[i]), y = static_cast<double>(want[i]);
    const double difference = std::fabs(x - y);
    largest = std::isnan(difference) ? difference : std::max(largest, difference);
    if (difference <= tolerance.absolute + tolerance.relative * std::fabs(y)) continue;
    if (wrong++ == 0) first = i;
  }
  std::string details = "max_abs=" + Number(largest);
  if (wrong > 0) {
    details += " wrong=" + std::to_string(wrong) + "/" + std::to_string(got.size()) + " [" +
               std::to_string(first) + "] got " + Number(static_cast<double>(got[first])) +
               " expected " + Number(static_cast<double>(want[first]));
  }
  Case(wrong == 0, name, details);
}

void Report::Compare(std::string_view name, std::span<const float> got, std::span<const float> want,
                     Tolerance tolerance) {
  CompareAll(name, got, want, tolerance);
}

void Report::Compare(std::string_view name, std::span<const double> got,
                     std::span<const double> want, Tolerance tolerance) {
  CompareAll(name, got, want, tolerance);
}

void Report::Finish() { out_ << passed_ << " passed, " << failed_ << " failed\n"; }

}  // namespace tutti::parity
