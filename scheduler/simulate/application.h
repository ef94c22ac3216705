// How fast a recorded training application runs and how well it learns: the ground truth of a trace
// folder (step times by placement and batch size, progress and gradient statistics by epoch), read
// as the Pollux artifact reads it. Immutable but for a cache: one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "scheduler/simulate/scattered.h"

namespace tutti::simulate {

// Ranks on each machine, in the order of ranks; none is 0.
using Shape = std::vector<std::uint32_t>;

// A rank's batch and how often it is computed before the ranks exchange gradients.
struct LocalBatch {
  std::uint32_t rows = 0;
  std::uint32_t accumulations = 0;  // beyond the first
};

class Application {
 public:
  // Reads `folder`/{placements,scalability,validation-N}.csv. kInvalid when it is not one of the
  // six applications whose number of epochs is known, or a file is damaged.
  static Result<Application> Read(const std::filesystem::path& folder);

  struct StepTime {
    double step_seconds = 0;
    double sync_seconds = 0;  // of those, exchanging gradients
  };
  // kInvalid when it was never measured nor lies between measurements.
  Result<StepTime> TimeOf(const Shape& shape, std::uint32_t rows) const;
  // Rows learnt per row computed times the batch's scale: how much faster than with the smallest
  // batch an iteration of `batch_size` rows gets on. (Pollux, section 3.1.)
  double GainOf(std::uint32_t batch_size, std::uint32_t epoch) const;
  // In iterations of the smallest batch, when `epoch` epochs are over.
  double ProgressAt(std::uint32_t epoch) const;
  // Iterations when `epoch` + 1 epochs are over.
  double IterationsAt(std::uint32_t batch_size, std::uint32_t epoch) const;
  LocalBatch Split(std::uint32_t batch_size, const Shape& shape) const;

  const std::string& name() const { return name_; }
  std::uint32_t epochs() const { return epochs_; }
  std::uint32_t rows_min() const { return rows_min_; }
  std::uint32_t rows_max() const { return rows_max_; }
  std::uint32_t batch_min() const { return batch_min_; }
  std::uint32_t batch_max() const { return batch_max_; }

 private:
  struct Validation {
    std::vector<double> progress, iteration, grad_sqr, grad_var;  // by epoch
  };
  struct Measured {
    double rows = 0;
    Pair seconds{};  // step, sync
  };
  Status ReadPlacements(const std::filesystem::path& folder);
  Status ReadScalability(const std::filesystem::path& folder);
  Status ReadValidations(const std::filesystem::path& folder);
  // Of the two validated batch sizes around `batch_size`, weighted.
  double Between(std::uint32_t batch_size, std::vector<double> Validation::*column,
                 std::size_t epoch) const;

  std::string name_;
  std::uint32_t epochs_ = 0;
  std::uint32_t rows_min_ = 0, rows_max_ = 0, batch_min_ = 0, batch_max_ = 0;
  std::map<Shape, std::vector<Measured>> by_shape_;  // by rows, ascending
  std::vector<Point> points_;                        // machines, ranks, rows
  std::vector<Pair> point_seconds_;
  std::map<std::uint32_t, Validation> validations_;  // by batch size
  std::vector<double> progress_;                     // by epochs over
  struct Cache {
    std::optional<Scattered> scattered;
    std::map<std::pair<Shape, std::uint32_t>, StepTime> times;
  };
  std::unique_ptr<Cache> cache_ = std::make_unique<Cache>();
};

}  // namespace tutti::simulate
