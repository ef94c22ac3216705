#include "scheduler/simulate/application.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>

#include "common/base/check.h"
#include "scheduler/simulate/csv.h"

namespace tutti::simulate {
namespace {

using internal::Concat;

constexpr double kEpsilon = 1e-8;  // of ceil, as in the artifact
constexpr std::uint32_t kMachinesMeasuredMax = 16;

struct Known {
  std::string_view name;
  std::uint32_t epochs;
  std::uint32_t rows_max;  // 0 = as measured
};
constexpr std::array kKnown = {Known{"bert", 2, 0},    Known{"cifar10", 100, 0},
                               Known{"ncf", 10, 0},    Known{"imagenet", 90, 0},
                               Known{"yolov3", 50, 8}, Known{"deepspeech2", 80, 0}};

std::uint32_t CeilDiv(std::uint32_t value, double by) {
  return static_cast<std::uint32_t>(std::ceil(value / by - kEpsilon));
}

// The lexicographically smallest rotation: which machine comes first makes no difference.
Shape Normal(Shape shape) {
  Shape best = shape;
  for (std::size_t i = 1; i < shape.size(); ++i) {
    std::rotate(shape.begin(), shape.begin() + 1, shape.end());
    best = std::min(best, shape);
  }
  return best;
}

}  // namespace

Result<Application> Application::Read(const std::filesystem::path& folder) {
  Application app;
  app.name_ = folder.filename().string();
  const auto known = std::find_if(kKnown.begin(), kKnown.end(),
                                  [&](const Known& k) { return k.name == app.name_; });
  if (known == kKnown.end()) {
    return Fail(ErrorCode::kInvalid,
                Concat("nobody knows how many epochs '", app.name_, "' trains"), folder.string());
  }
  app.epochs_ = known->epochs;
  TUTTI_RETURN_IF_ERROR(app.ReadPlacements(folder));
  TUTTI_RETURN_IF_ERROR(app.ReadScalability(folder));
  TUTTI_RETURN_IF_ERROR(app.ReadValidations(folder));
  if (known->rows_max != 0) app.rows_max_ = known->rows_max;
  return app;
}

Status Application::ReadPlacements(const std::filesystem::path& folder) {
  TUTTI_ASSIGN_OR_RETURN(const Csv csv, Csv::Read(folder / "placements.csv"));
  TUTTI_ASSIGN_OR_RETURN(const auto placements, csv.Texts("placement"));
  TUTTI_ASSIGN_OR_RETURN(const auto rows, csv.Numbers("local_bsz"));
  TUTTI_ASSIGN_OR_RETURN(const auto step, csv.Numbers("step_time"));
  TUTTI_ASSIGN_OR_RETURN(const auto sync, csv.Numbers("sync_time"));
  struct Sum {
    Pair seconds{};
    double count = 0;
  };
  std::map<Point, Sum> means;
  for (std::size_t i = 0; i < csv.rows(); ++i) {
    Shape shape;
    for (const char digit : placements[i]) {
      if (digit < '1' || digit > '9') {
        return Fail(ErrorCode::kInvalid, Concat("'", placements[i], "' is no placement"),
                    Concat((folder / "placements.csv").string(), ":", i + 2));
      }
      shape.push_back(static_cast<std::uint32_t>(digit - '0'));
    }
    by_shape_[shape].push_back({rows[i], {step[i], sync[i]}});
    const auto ranks = std::accumulate(shape.begin(), shape.end(), 0U);
    Sum& sum = means[{static_cast<double>(shape.size()), static_cast<double>(ranks), rows[i]}];
    sum.seconds[0] += step[i];
    sum.seconds[1] += sync[i];
    ++sum.count;
  }
  if (by_shape_.empty()) {
    return Fail(ErrorCode::kInvalid, "has no rows", (folder / "placements.csv").string());
  }
  for (auto& [shape, measured] : by_shape_) {
    std::stable_sort(measured.begin(), measured.end(),
                     [](const Measured& a, const Measured& b) { return a.rows < b.rows; });
  }
  for (const auto& [point, sum] : means) {
    points_.push_back(point);
    point_seconds_.push_back({sum.seconds[0] / sum.count, sum.seconds[1] / sum.count});
  }
  const auto [least, most] = std::minmax_element(rows.begin(), rows.end());
  rows_min_ = static_cast<std::uint32_t>(*least);
  rows_max_ = static_cast<std::uint32_t>(*most);
  return {};
}

Status Application::ReadScalability(const std::filesystem::path& folder) {
  TUTTI_ASSIGN_OR_RETURN(const Csv csv, Csv::Read(folder / "scalability.csv"));
  TUTTI_ASSIGN_OR_RETURN(const auto machines, csv.Numbers("num_nodes"));
  TUTTI_ASSIGN_OR_RETURN(const auto ranks, csv.Numbers("num_replicas"));
  TUTTI_ASSIGN_OR_RETURN(const auto rows, csv.Numbers("local_bsz"));
  TUTTI_ASSIGN_OR_RETURN(const auto step, csv.Numbers("step_time"));
  TUTTI_ASSIGN_OR_RETURN(const auto sync, csv.Numbers("sync_time"));
  for (std::size_t i = 0; i < csv.rows(); ++i) {
    points_.push_back({machines[i], ranks[i], rows[i]});
    point_seconds_.push_back({step[i], sync[i]});
  }
  return {};
}

Status Application::ReadValidations(const std::filesystem::path& folder) {
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
    const std::string name = entry.path().stem().string();
    constexpr std::string_view kPrefix = "validation-";
    if (!name.starts_with(kPrefix) || entry.path().extension() != ".csv") continue;
    std::uint32_t batch = 0;
    const auto read =
        std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), batch);
    if (read.ec != std::errc{} || read.ptr != name.data() + name.size()) {
      return Fail(ErrorCode::kInvalid, "names no batch size", entry.path().string());
    }
    TUTTI_ASSIGN_OR_RETURN(const Csv csv, Csv::Read(entry.path()));
    Validation& validation = validations_[batch];
    TUTTI_ASSIGN_OR_RETURN(validation.progress, csv.Numbers("progress"));
    TUTTI_ASSIGN_OR_RETURN(validation.iteration, csv.Numbers("iteration"));
    TUTTI_ASSIGN_OR_RETURN(validation.grad_sqr, csv.Numbers("grad_sqr"));
    TUTTI_ASSIGN_OR_RETURN(validation.grad_var, csv.Numbers("grad_var"));
    if (csv.rows() < epochs_) {
      return Fail(ErrorCode::kInvalid, Concat("has ", csv.rows(), " epochs of ", epochs_),
                  entry.path().string());
    }
  }
  if (failed || validations_.empty()) {
    return Fail(ErrorCode::kNotFound, "has no validation-N.csv", folder.string());
  }
  batch_min_ = validations_.begin()->first;
  batch_max_ = validations_.rbegin()->first;
  progress_.push_back(0);
  for (std::size_t epoch = 0; epoch < epochs_; ++epoch) {
    double least = validations_.begin()->second.progress[epoch];
    for (const auto& [batch, validation] : validations_) {
      least = std::min(least, validation.progress[epoch]);
    }
    progress_.push_back(least);
  }
  return {};
}

Result<Application::StepTime> Application::TimeOf(const Shape& shape, std::uint32_t rows) const {
  const std::pair key(Normal(shape), rows);
  const auto cached = cache_->times.find(key);
  if (cached != cache_->times.end()) return cached->second;
  const auto outside = [&] {
    std::string text;
    for (const std::uint32_t ranks : shape)
      text += (text.empty() ? "" : "+") + std::to_string(ranks);
    return Fail(ErrorCode::kInvalid, Concat(name_, " was not measured with ", text, " ranks of ",
                                            rows, " rows, nor around that"));
  };
  Pair seconds{};
  if (const auto found = by_shape_.find(key.first); found != by_shape_.end()) {
    const std::vector<Measured>& known = found->second;
    if (rows < known.front().rows || rows > known.back().rows) return outside();
    auto high = std::lower_bound(known.begin(), known.end(), static_cast<double>(rows),
                                 [](const Measured& m, double value) { return m.rows < value; });
    if (high == known.begin() && known.size() > 1) ++high;
    const Measured& a = high == known.begin() ? *high : *std::prev(high);
    const Measured& b = *high;
    for (std::size_t i = 0; i < 2; ++i) {
      const double width = b.rows - a.rows;
      const double slope = width == 0 ? 0 : (b.seconds[i] - a.seconds[i]) / width;
      seconds[i] = slope * (rows - a.rows) + a.seconds[i];
    }
  } else {
    if (!cache_->scattered) {
      TUTTI_ASSIGN_OR_RETURN(cache_->scattered, Scattered::Of(points_, point_seconds_));
    }
    const auto machines = std::min<std::size_t>(shape.size(), kMachinesMeasuredMax);
    const auto ranks = std::accumulate(shape.begin(), shape.end(), 0U);
    const auto value = cache_->scattered->At(
        {static_cast<double>(machines), static_cast<double>(ranks), static_cast<double>(rows)});
    if (!value) return outside();
    seconds = *value;
  }
  return cache_->times[key] = {seconds[0], seconds[1]};
}

double Application::Between(std::uint32_t batch_size, std::vector<double> Validation::*column,
                            std::size_t epoch) const {
  auto upper = validations_.lower_bound(batch_size);
  TUTTI_CHECK(upper != validations_.end(), name_, ": batch size ", batch_size);
  const auto lower = upper->first == batch_size ? upper : std::prev(upper);
  const double low = (lower->second.*column)[epoch];
  if (lower == upper) return low;
  const double high = (upper->second.*column)[epoch];
  return ((batch_size - lower->first) * high + (upper->first - batch_size) * low) /
         (upper->first - lower->first);
}

double Application::GainOf(std::uint32_t batch_size, std::uint32_t epoch) const {
  const double sqr = Between(batch_size, &Validation::grad_sqr, epoch);
  const double var = Between(batch_size, &Validation::grad_var, epoch);
  const double scale = static_cast<double>(batch_size) / batch_min_;
  return (var + sqr) / (var / scale + sqr);
}

double Application::ProgressAt(std::uint32_t epoch) const { return progress_.at(epoch); }

double Application::IterationsAt(std::uint32_t batch_size, std::uint32_t epoch) const {
  return Between(batch_size, &Validation::iteration, epoch);
}

LocalBatch Application::Split(std::uint32_t batch_size, const Shape& shape) const {
  const auto ranks = std::accumulate(shape.begin(), shape.end(), 0U);
  TUTTI_CHECK(ranks > 0);
  const std::uint32_t local = CeilDiv(batch_size, ranks);
  LocalBatch split;
  split.accumulations = CeilDiv(local, rows_max_) - 1;
  if (ranks == 1 && batch_size > batch_min_)
    split.accumulations = std::max(1U, split.accumulations);
  split.rows = CeilDiv(local, split.accumulations + 1);
  split.rows = std::min(split.rows, batch_max_ / (ranks * (split.accumulations + 1)));
  return split;
}

}  // namespace tutti::simulate
