#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>

#include "worker/model/export.h"
#include "worker/model/language_model.h"
#include "worker/model/load.h"
#include "worker/model/model.h"
#include "worker/parity/folders.h"
#include "worker/parity/model_run.h"

namespace tutti::parity {
namespace {

namespace fs = std::filesystem;

// Row `row` of a batch, without its padding.
model::Batch RowOf(const model::Batch& batch, std::int64_t row) {
  model::Batch one{.rows = 1};
  for (std::int64_t column = 0; column < batch.columns; ++column) {
    const auto at = static_cast<std::size_t>(row * batch.columns + column);
    if (batch.attention_mask[at] == 0) continue;
    one.input_ids.push_back(batch.input_ids[at]);
    if (!batch.type_ids.empty()) one.type_ids.push_back(batch.type_ids[at]);
  }
  one.columns = static_cast<std::int64_t>(one.input_ids.size());
  return one;
}

// A checkpoint with its flat buffers, its case and where they are reported.
class FamilyRun {
 public:
  FamilyRun(std::unique_ptr<model::Model> model, const Json& cases, Report& report)
      : run_(std::move(model), FloatLabels(cases.at("batch"))),
        cases_(cases),
        report_(report),
        name_(cases.at("name").get<std::string>()),
        language_(run_.language()) {}

  Status Run(const fs::path& folder) {
    TUTTI_ASSIGN_OR_RETURN(const model::LoadedWeights loaded,
                           model::LoadWeights(run_.model(), folder, /*seed=*/0, run_.params()));
    report_.Case(loaded.fresh.empty(), name_ + "/weights",
                 std::to_string(loaded.fresh.size()) + " missing");
    TUTTI_ASSIGN_OR_RETURN(const auto expected,
                           safetensors::File::Open(folder / "expected.safetensors"));
    for (const bool whole : {false, true}) TUTTI_RETURN_IF_ERROR(CheckBatch(expected, whole));
    TUTTI_RETURN_IF_ERROR(CheckRowsAlone(expected));
    CheckDecayGroups();
    if (language_ != nullptr && cases_.contains("generation")) {
      TUTTI_RETURN_IF_ERROR(RunGeneration(*language_, cases_.at("generation"), name_, report_));
    }
    return CheckTrajectory(folder);
  }

 private:
  // Twice: as training computes it, and `whole`: an encoder at every position of its last layer, a
  // language model by the logits of every token.
  Status CheckBatch(const safetensors::File& expected, bool whole) {
    const model::Batch batch = run_.Read(cases_.at("batch"));
    const std::string prefix = name_ + (whole ? "/all-positions/" : "/");
    const auto items = static_cast<double>(run_.Items(batch));
    std::ranges::fill(run_.grads(), 0.0F);
    double sum = 0;
    if (language_ != nullptr && !whole) {
      TUTTI_ASSIGN_OR_RETURN(sum, run_.AddGradients(batch, 1 / items));
    } else {
      at::Tensor logits;
      const model::ForwardOptions options{.training = true, .want_hidden = whole};
      TUTTI_ASSIGN_OR_RETURN(sum, run_.AddByLogits(batch, options, 1 / items, &logits));
      TUTTI_RETURN_IF_ERROR(CheckLogits(prefix, Values(logits), expected, batch));
    }
    const std::vector<double> loss = {cases_.at("loss").get<double>()};
    report_.Compare(prefix + "loss", std::vector<double>{sum / items}, loss,
                    LossTolerance(loss.front()));
    if (whole) TUTTI_RETURN_IF_ERROR(CheckHidden(expected, batch));
    const std::vector<double> norm = {cases_.at("grad_norm").get<double>()};
    report_.Compare(prefix + "grad_norm", std::vector<double>{run_.GradNorm()}, norm, kGradients);
    return CheckGradients(expected, prefix);
  }

  // A language model's at tokens: what stands at padding means nothing.
  Status CheckLogits(const std::string& prefix, std::span<const float> got,
                     const safetensors::File& expected, const model::Batch& batch) {
    TUTTI_ASSIGN_OR_RETURN(const std::vector<float> want, Floats(expected, "logits"));
    if (language_ == nullptr || got.size() != want.size()) {
      report_.Compare(prefix + "logits", got, want, kLogits);
    } else {
      report_.Compare(prefix + "logits", AtTokens(got, batch), AtTokens(want, batch), kLogits);
    }
    return {};
  }

  Status CheckGradients(const safetensors::File& expected, const std::string& prefix) {
    std::vector<double> got, want;
    for (const auto& [name, norm] : cases_.at("grad_norms").items()) {
      const model::ParameterInfo* parameter = run_.model().layout().Find(name);
      if (parameter == nullptr) {
        report_.Case(false, prefix + "grad_norms", "no parameter " + name);
        return {};
      }
      double square = 0;
      for (const float x : run_.GradientOf(*parameter)) {
        square += static_cast<double>(x) * static_cast<double>(x);
      }
      got.push_back(std::sqrt(square));
      want.push_back(norm.get<double>());
    }
    report_.Compare(prefix + "grad_norms", got, want, kGradients);
    for (const Json& saved : cases_.at("grads_saved")) {
      const auto name = saved.get<std::string>();
      const model::ParameterInfo* parameter = run_.model().layout().Find(name);
      TUTTI_ASSIGN_OR_RETURN(const std::vector<float> grad, Floats(expected, "grad." + name));
      report_.Compare(prefix + "grad." + name,
                      parameter == nullptr ? std::span<const float>() : run_.GradientOf(*parameter),
                      grad, kGradients);
    }
    return {};
  }

  Status CheckHidden(const safetensors::File& expected, const model::Batch& batch) {
    TUTTI_ASSIGN_OR_RETURN(const std::vector<float> want, Floats(expected, "hidden"));
    const auto row = cases_.at("hidden_row").get<std::int64_t>();
    const at::Tensor hidden = run_.model().Hidden();
    const auto T = static_cast<std::size_t>(batch.columns);
    const std::size_t H = want.size() / T;
    const auto values = Values(hidden).subspan(static_cast<std::size_t>(row) * T * H, T * H);
    std::vector<float> got, expected_values;  // of real positions: padding means nothing
    for (std::size_t t = 0; t < T; ++t) {
      if (batch.attention_mask[static_cast<std::size_t>(row) * T + t] == 0) continue;
      for (std::size_t h = t * H; h < (t + 1) * H; ++h) {
        got.push_back(values[h]);
        expected_values.push_back(want[h]);
      }
    }
    report_.Compare(name_ + "/hidden", got, expected_values, kLogits);
    return {};
  }

  Status CheckRowsAlone(const safetensors::File& expected) {
    TUTTI_ASSIGN_OR_RETURN(std::vector<float> want, Floats(expected, "logits"));
    const model::Batch batch = run_.Read(cases_.at("batch"));
    if (language_ != nullptr) want = AtTokens(want, batch);
    std::vector<float> got;
    for (std::int64_t row = 0; row < batch.rows; ++row) {
      TUTTI_ASSIGN_OR_RETURN(const at::Tensor logits, run_.model().Forward(RowOf(batch, row), {}));
      got.insert(got.end(), Values(logits).begin(), Values(logits).end());
    }
    report_.Compare(name_ + "/rows-alone", got, want, kLogits);
    return {};
  }

  void CheckDecayGroups() {
    const Json& trajectory = cases_.at("trajectory");
    std::map<std::string, bool> want, got;
    for (const Json& name : trajectory.at("decay")) want[name.get<std::string>()] = true;
    for (const Json& name : trajectory.at("no_decay")) want[name.get<std::string>()] = false;
    for (const auto& parameter : run_.model().layout().parameters()) {
      got[parameter.name] = parameter.decay;
    }
    report_.Case(
        got == want, name_ + "/decay-groups",
        std::to_string(got.size()) + " parameters, expected " + std::to_string(want.size()));
  }

  Status CheckTrajectory(const fs::path& folder) {
    const Json& trajectory = cases_.at("trajectory");
    TUTTI_ASSIGN_OR_RETURN(const ModelRun::Steps steps, run_.Train(trajectory));
    const auto wanted = [&trajectory](const char* key) {
      return trajectory.at(key).get<std::vector<double>>();
    };
    report_.Compare(name_ + "/trajectory/loss", steps.losses, wanted("loss"), kStepLoss);
    report_.Compare(name_ + "/trajectory/grad_norm", steps.norms, wanted("grad_norm"), kStepLoss);
    report_.Compare(name_ + "/trajectory/lr", steps.rates, wanted("lr"), kRates);
    return CheckFinal(folder, trajectory.at("final_noise"));
  }

  // The exported tensors have the names and shapes that Transformers saved, and its values.
  Status CheckFinal(const fs::path& folder, const Json& noise) {
    TUTTI_ASSIGN_OR_RETURN(const auto final_weights,
                           safetensors::File::Open(folder / "final.safetensors"));
    const auto tensors = model::TensorsToWrite(run_.model().layout(), run_.params());
    report_.Case(tensors.size() == final_weights.size(), name_ + "/final/tensors",
                 std::to_string(tensors.size()) + " of " + std::to_string(final_weights.size()));
    for (const auto& tensor : tensors) {
      TUTTI_ASSIGN_OR_RETURN(const std::vector<float> want, Floats(final_weights, tensor.name));
      TUTTI_ASSIGN_OR_RETURN(const auto saved, final_weights.Find(tensor.name));
      const std::string name = name_ + "/final/" + tensor.name;
      if (!std::ranges::equal(saved.shape, tensor.shape)) {
        report_.Case(false, name, "another shape");
        continue;
      }
      const model::ParameterInfo* parameter = run_.model().layout().Find(tensor.name);
      const auto got = std::span(run_.params())
                           .subspan(static_cast<std::size_t>(parameter->offset),
                                    static_cast<std::size_t>(parameter->count));
      report_.Compare(name, got, want,
                      {.absolute = 1e-4 + 20 * noise.at(tensor.name).get<double>()});
    }
    return {};
  }

  ModelRun run_;
  const Json& cases_;
  Report& report_;
  std::string name_;
  model::LanguageModel* language_;
};

}  // namespace

Status RunFamily(const fs::path& folder, const Json& cases, Report& report) {
  const auto name = cases.at("name").get<std::string>();
  TUTTI_ASSIGN_OR_RETURN(const model::ModelConfig config, model::ReadModelConfig(folder));
  Result<std::unique_ptr<model::Model>> model = model::MakeModel(config);
  if (!model.has_value()) {
    report.Refused(name, model.error());
    return {};
  }
  TUTTI_RETURN_IF_ERROR(CheckModel(**model, cases, folder));
  return FamilyRun(std::move(*model), cases, report).Run(folder);
}

}  // namespace tutti::parity
