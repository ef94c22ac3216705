#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "worker/parity/folders.h"
#include "worker/train/loss.h"

namespace tutti::parity {
namespace {

constexpr Tolerance kLossGradients{.absolute = 1e-5, .relative = 1e-4};

struct Inputs {
  std::vector<float> logits, grad, weights;
  std::vector<std::int64_t> labels;
  std::vector<float> targets;
  std::vector<std::int64_t> shape;  // of the logits
};

Result<Inputs> ReadInputs(const safetensors::File& file, const std::string& name) {
  Inputs in;
  TUTTI_ASSIGN_OR_RETURN(const safetensors::Tensor logits, file.Find(name + ".logits"));
  in.shape.assign(logits.shape.begin(), logits.shape.end());
  TUTTI_ASSIGN_OR_RETURN(in.logits, Floats(file, name + ".logits"));
  TUTTI_ASSIGN_OR_RETURN(in.grad, Floats(file, name + ".grad"));
  TUTTI_ASSIGN_OR_RETURN(const safetensors::Tensor labels, file.Find(name + ".labels"));
  if (labels.dtype == safetensors::DType::kF32) {
    TUTTI_ASSIGN_OR_RETURN(in.targets, Floats(file, name + ".labels"));
  } else {
    TUTTI_ASSIGN_OR_RETURN(in.labels, Integers(file, name + ".labels"));
  }
  if (file.Contains(name + ".weights")) {
    TUTTI_ASSIGN_OR_RETURN(in.weights, Floats(file, name + ".weights"));
  }
  return in;
}

// Position t predicts label t + 1; the last of each row predicts nothing.
void Shift(Inputs& in) {
  const auto T = static_cast<std::size_t>(in.shape[in.shape.size() - 2]);
  const auto shift = [T](auto& values, auto last) {
    for (std::size_t row = 0; row < values.size(); row += T) {
      for (std::size_t t = 0; t + 1 < T; ++t) values[row + t] = values[row + t + 1];
      values[row + T - 1] = last;
    }
  };
  shift(in.labels, model::kIgnoreLabel);
  shift(in.weights, 0.0F);
}

double CountOf(const Inputs& in) {
  if (in.labels.empty()) return static_cast<double>(in.shape.front());
  if (in.weights.empty()) return static_cast<double>(train::CountItems(in.labels));
  double count = 0;
  for (std::size_t i = 0; i < in.labels.size(); ++i) {
    if (in.labels[i] != model::kIgnoreLabel) count += static_cast<double>(in.weights[i]);
  }
  return count;
}

double SumOf(const std::string& kind, const Inputs& in, const Json& row,
             const train::Logits& logits) {
  if (kind == "multilabel") return train::BinaryCrossEntropySum(logits, in.targets);
  if (kind == "regression") return train::SquaredErrorSum(logits, in.targets);
  return train::CrossEntropySum(
      logits, in.labels,
      {.label_smoothing = row.value("label_smoothing_factor", 0.0), .weights = in.weights});
}

Status RunLoss(const std::string& kind, const safetensors::File& file, const Json& row,
               Report& report) {
  const std::string number = row.at("case").dump();
  TUTTI_ASSIGN_OR_RETURN(Inputs in, ReadInputs(file, number));
  if (kind.ends_with("causal_lm") || row.value("shift", false)) Shift(in);
  const double items = row.contains("num_items") && !row["num_items"].is_null()
                           ? row["num_items"].get<double>()
                           : CountOf(in);
  std::vector<float> grad(in.logits.size());
  const train::Logits logits{
      .values = in.logits, .columns = in.shape.back(), .grad = grad, .scale = 1 / items};
  const std::vector<double> got = {SumOf(kind, in, row, logits) / items};
  const std::vector<double> want = {row.at("loss").get<double>()};
  report.Compare(kind + ":" + number + ":loss", got, want, LossTolerance(want.front()));
  report.Compare(kind + ":" + number + ":grad", grad, in.grad, kLossGradients);
  return {};
}

}  // namespace

Status RunLosses(const std::filesystem::path& folder, const Json& cases, Report& report) {
  const auto kind = cases.at("name").get<std::string>();
  if (kind == "dpo") return RunPreferences(folder, cases, report);
  constexpr const char* kKinds[] = {"cross_entropy", "label_smoothing", "multilabel",
                                    "regression",    "causal_lm",       "weighted_causal_lm"};
  if (std::ranges::find(kKinds, kind) == std::end(kKinds)) {
    report.Case(false, kind, "this loss is not supported yet");
    return {};
  }
  TUTTI_ASSIGN_OR_RETURN(const safetensors::File file,
                         safetensors::File::Open(folder / "expected.safetensors"));
  for (const Json& row : cases.at("cases")) {
    TUTTI_RETURN_IF_ERROR(RunLoss(kind, file, row, report));
  }
  return {};
}

}  // namespace tutti::parity
