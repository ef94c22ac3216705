#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "worker/model/adapter_files.h"
#include "worker/model/load.h"
#include "worker/parity/folders.h"
#include "worker/parity/model_run.h"

namespace tutti::parity {
namespace {

namespace fs = std::filesystem;

// A name of named_parameters() of PEFT's model, as its files have it.
std::string FileName(std::string name) {
  for (const char* part : {".modules_to_save.default", ".default"}) {
    const std::size_t at = name.find(part);
    if (at != std::string::npos) name.erase(at, std::string(part).size());
  }
  return name;
}

class PeftRun {
 public:
  PeftRun(std::unique_ptr<model::Model> model, const Json& cases, Report& report)
      : run_(std::move(model), FloatLabels(cases.at("batch"))),
        cases_(cases),
        report_(report),
        name_(cases.at("name").get<std::string>()),
        base_(static_cast<std::size_t>(run_.model().base_layout().total())) {
    run_.model().BindBase(base_.data());
  }

  Status Run(const fs::path& folder) {
    TUTTI_RETURN_IF_ERROR(model::LoadWeights(run_.model(), folder / "base", /*seed=*/0, base_));
    TUTTI_ASSIGN_OR_RETURN(const auto expected,
                           safetensors::File::Open(folder / "expected.safetensors"));
    CheckTrainable();
    TUTTI_RETURN_IF_ERROR(CheckBase(expected));
    TUTTI_RETURN_IF_ERROR(model::LoadAdapter(run_.model(), folder / "adapter", run_.params()));
    TUTTI_RETURN_IF_ERROR(CheckBatch(expected));
    TUTTI_RETURN_IF_ERROR(CheckMerged(folder, expected));
    TUTTI_RETURN_IF_ERROR(model::LoadAdapter(run_.model(), folder / "adapter_init", run_.params()));
    return CheckTrajectory(folder);
  }

 private:
  void CheckTrainable() {
    std::map<std::string, bool> want, got;
    for (const Json& name : cases_.at("trainable")) {
      want[FileName(name.get<std::string>())] = false;
    }
    for (const Json& name : cases_.at("trajectory").at("decay")) {
      want[FileName(name.get<std::string>())] = true;
    }
    for (const auto& parameter : run_.model().layout().parameters()) {
      got[parameter.name] = parameter.decay;
    }
    report_.Case(
        got == want, name_ + "/trainable",
        std::to_string(got.size()) + " parameters, expected " + std::to_string(want.size()));
  }

  Status CompareLogits(const std::string& name, const at::Tensor& logits,
                       const safetensors::File& expected) {
    TUTTI_ASSIGN_OR_RETURN(const std::vector<float> want, Floats(expected, name));
    const model::Batch batch = run_.Read(cases_.at("batch"));
    if (run_.language() == nullptr || Values(logits).size() != want.size()) {
      report_.Compare(name_ + "/" + name, Values(logits), want, kLogits);
    } else {
      report_.Compare(name_ + "/" + name, AtTokens(Values(logits), batch), AtTokens(want, batch),
                      kLogits);
    }
    return {};
  }

  // Without an adapter: B is zero, and what is trained fully is the base's.
  Status CheckBase(const safetensors::File& expected) {
    run_.model().adapter()->Initialise(base_.data(), /*seed=*/0, run_.params());
    TUTTI_ASSIGN_OR_RETURN(const at::Tensor logits,
                           run_.model().Forward(run_.Read(cases_.at("batch")), {}));
    return CompareLogits("logits_base", logits, expected);
  }

  Status CheckBatch(const safetensors::File& expected) {
    const model::Batch batch = run_.Read(cases_.at("batch"));
    const auto items = static_cast<double>(run_.Items(batch));
    for (const bool by_logits : {true, false}) {
      const std::string prefix = name_ + (by_logits ? "/" : "/chunked/");
      std::ranges::fill(run_.grads(), 0.0F);
      double sum = 0;
      if (by_logits) {
        at::Tensor logits;
        TUTTI_ASSIGN_OR_RETURN(sum,
                               run_.AddByLogits(batch, {.training = true}, 1 / items, &logits));
        TUTTI_RETURN_IF_ERROR(CompareLogits("logits", logits, expected));
      } else {
        TUTTI_ASSIGN_OR_RETURN(sum, run_.AddGradients(batch, 1 / items));
      }
      const auto loss = cases_.at("loss").get<double>();
      report_.Compare(prefix + "loss", std::vector<double>{sum / items}, std::vector<double>{loss},
                      LossTolerance(loss));
      report_.Compare(prefix + "grad_norm", std::vector<double>{run_.GradNorm()},
                      std::vector<double>{cases_.at("grad_norm").get<double>()}, kGradients);
      TUTTI_RETURN_IF_ERROR(CheckGradients(prefix, expected));
    }
    return {};
  }

  Status CheckGradients(const std::string& prefix, const safetensors::File& expected) {
    for (const auto& [name, norm] : cases_.at("grad_norms").items()) {
      const model::ParameterInfo* parameter = run_.model().layout().Find(FileName(name));
      if (parameter == nullptr) {
        report_.Case(false, prefix + "grad." + name, "no such parameter");
        continue;
      }
      const std::span<const float> got = run_.GradientOf(*parameter);
      double square = 0;
      for (const float x : got) square += static_cast<double>(x) * static_cast<double>(x);
      report_.Compare(prefix + "grad_norm." + name, std::vector<double>{std::sqrt(square)},
                      std::vector<double>{norm.get<double>()}, kGradients);
      if (!expected.Contains("grad." + name)) continue;
      TUTTI_ASSIGN_OR_RETURN(const std::vector<float> want, Floats(expected, "grad." + name));
      report_.Compare(prefix + "grad." + name, got, want, kGradients);
    }
    return {};
  }

  Status CheckMerged(const fs::path& folder, const safetensors::File& expected) {
    std::vector<float> merged(base_.begin(), base_.end());
    run_.model().adapter()->Merge(run_.params(), merged);
    TUTTI_ASSIGN_OR_RETURN(const auto saved,
                           safetensors::File::Open(folder / "merged.safetensors"));
    for (const auto& parameter : run_.model().base_layout().parameters()) {
      TUTTI_ASSIGN_OR_RETURN(const std::vector<float> want, Floats(saved, parameter.name));
      report_.Compare(name_ + "/merged/" + parameter.name,
                      std::span(merged).subspan(static_cast<std::size_t>(parameter.offset),
                                                static_cast<std::size_t>(parameter.count)),
                      want, {.absolute = 1e-6, .relative = 1e-5});
    }
    TUTTI_ASSIGN_OR_RETURN(const model::ModelConfig config,
                           model::ReadModelConfig(folder / "base"));
    TUTTI_ASSIGN_OR_RETURN(const auto plain, model::MakeModel(config));
    plain->Bind(merged.data());
    TUTTI_ASSIGN_OR_RETURN(const at::Tensor logits,
                           plain->Forward(run_.Read(cases_.at("batch")), {}));
    return CompareLogits("logits_merged", logits, expected);
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
    const std::vector<float> got = run_.params();
    TUTTI_RETURN_IF_ERROR(
        model::LoadAdapter(run_.model(), folder / "adapter_final", run_.params()));
    const Json& noise = trajectory.at("final_noise");
    for (const auto& [name, value] : noise.items()) {
      const model::ParameterInfo* parameter = run_.model().layout().Find(FileName(name));
      if (parameter == nullptr) {
        report_.Case(false, name_ + "/final/" + name, "no such parameter");
        continue;
      }
      const auto at = static_cast<std::size_t>(parameter->offset);
      const auto count = static_cast<std::size_t>(parameter->count);
      report_.Compare(name_ + "/final/" + name, std::span(got).subspan(at, count),
                      std::span<const float>(run_.params()).subspan(at, count),
                      {.absolute = 1e-4 + 20 * value.get<double>()});
    }
    return {};
  }

  ModelRun run_;
  const Json& cases_;
  Report& report_;
  std::string name_;
  std::vector<float> base_;
};

}  // namespace

// What need not be supported may be refused.
Status RunPeft(const fs::path& folder, const Json& cases, Report& report) {
  const auto name = cases.at("name").get<std::string>();
  const auto make = [&]() -> Result<std::unique_ptr<model::Model>> {
    TUTTI_ASSIGN_OR_RETURN(const model::ModelConfig config,
                           model::ReadModelConfig(folder / "base"));
    TUTTI_ASSIGN_OR_RETURN(std::unique_ptr<model::Model> model, model::MakeModel(config));
    TUTTI_RETURN_IF_ERROR(CheckModel(*model, cases, folder / "base"));
    TUTTI_ASSIGN_OR_RETURN(const model::LoraOptions options,
                           model::ReadAdapterConfig(folder / "adapter"));
    TUTTI_RETURN_IF_ERROR(model->Adapt(options));
    return model;
  };
  Result<std::unique_ptr<model::Model>> model = make();
  if (model) return PeftRun(std::move(*model), cases, report).Run(folder);
  report.Case(!cases.value("must_support", true), name, model.error().ToString());
  return {};
}

}  // namespace tutti::parity
