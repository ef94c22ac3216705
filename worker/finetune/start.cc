#include "worker/finetune/start.h"

#include <algorithm>
#include <utility>

#include "worker/finetune/going_on.h"

namespace tutti::finetune {
namespace {

void WarnOfUnknownLabels(const data::Dataset& eval, const data::LabelTable& table,
                         std::vector<std::string>& warnings) {
  for (const std::string& name : eval.labels().names) {
    if (std::ranges::find(table.names, name) != table.names.end() || eval.labels().integers)
      continue;
    warnings.push_back("label '" + name +
                       "' is only in the evaluation data: its rows count as wrong");
  }
}

}  // namespace

train::Samples LanguageSamples(std::shared_ptr<const data::Dataset> dataset,
                               data::RowFormat format) {
  return format == data::RowFormat::kPreference ? train::Pairs(std::move(dataset))
                                                : train::AllRows(std::move(dataset));
}

data::LoadOptions Loader::OptionsOf(const std::filesystem::path& path,
                                    std::string shown_name) const {
  return {.path = path,
          .shown_name = std::move(shown_name),
          .columns = inputs.spec.data.columns,
          .max_length = max_length,
          .cache_dir = inputs.cache_dir,
          .format = format,
          .train_on_inputs = inputs.spec.data.train_on_inputs,
          .end_token = end_token,
          .chat = chat};
}

Result<std::shared_ptr<const data::Dataset>> Loader::Load(const std::filesystem::path& path,
                                                          std::string shown_name) const {
  TUTTI_ASSIGN_OR_RETURN(data::Dataset dataset,
                         data::Dataset::Load(OptionsOf(path, std::move(shown_name)), tokenizer));
  return std::make_shared<const data::Dataset>(std::move(dataset));
}

Status SetUpModel(const JobInputs& inputs, model::Model& model) {
  const spec::JobSpec& spec = inputs.spec;
  model.SetGradientCheckpointing(spec.training.gradient_checkpointing);
  const auto* const dpo = std::get_if<spec::DpoSpec>(&spec.method);
  const spec::LoraSpec* lora = std::get_if<spec::LoraSpec>(&spec.method);
  if (dpo != nullptr && dpo->lora) lora = &*dpo->lora;
  if (lora == nullptr) return {};
  model::LoraOptions options{.r = lora->r,
                             .lora_alpha = lora->lora_alpha,
                             .lora_dropout = lora->lora_dropout,
                             .use_rslora = lora->use_rslora,
                             .all_linear = lora->all_linear,
                             .target_modules = lora->target_modules,
                             .modules_to_save = lora->modules_to_save};
  if (GoesOnWithAdapter(spec, inputs.model_dir)) {
    TUTTI_ASSIGN_OR_RETURN(options, OptionsToGoOnWith(inputs.model_dir, model, options));
    return model.Adapt(options);
  }
  Status adapted = model.Adapt(options);
  if (!adapted) {
    Error error = adapted.error();
    error.where = (dpo == nullptr ? "method.lora." : "method.dpo.lora.") + error.where;
    return Fail(std::move(error));
  }
  return {};
}

std::string TrainName(const spec::JobSpec& spec) {
  return spec.inputs.train ? spec.inputs.train->path : spec.data.train;
}

void WarnOfCutRows(const data::Dataset& dataset, std::int64_t max_length, bool pairs,
                   std::vector<std::string>& warnings) {
  if (dataset.cut_rows() == 0) return;
  warnings.push_back(std::to_string(dataset.cut_rows()) + " of " + std::to_string(dataset.rows()) +
                     (pairs ? " answers with their prompts" : " rows") + " are longer than " +
                     std::to_string(max_length) + " tokens and are cut");
}

Status PrepareEval(const Loader& loader, const data::LabelTable* table, Job& job) {
  const spec::DataSpec& data = loader.inputs.spec.data;
  if (loader.inputs.eval_path) {
    const auto& file = loader.inputs.spec.inputs.eval;
    TUTTI_ASSIGN_OR_RETURN(
        const auto dataset,
        loader.Load(*loader.inputs.eval_path, file ? file->path : data.eval.value_or("")));
    TUTTI_RETURN_IF_ERROR(CheckVocabulary(*dataset, job.model->config()));
    if (table == nullptr) {
      job.eval = LanguageSamples(dataset, loader.format);
      return {};
    }
    WarnOfUnknownLabels(*dataset, *table, job.warnings);
    TUTTI_ASSIGN_OR_RETURN(job.eval, train::AllRows(dataset, *table, /*strict=*/false));
  } else if (data.eval) {
    return Fail(ErrorCode::kInvalid, "the spec names evaluation data and no file was given for it",
                "data.eval");
  } else if (data.eval_fraction) {
    const auto seed = static_cast<std::uint64_t>(loader.inputs.spec.training.seed);
    TUTTI_ASSIGN_OR_RETURN(train::Split split,
                           train::SplitRows(job.train, *data.eval_fraction, seed));
    job.train = std::move(split.train);
    job.eval = std::move(split.eval);
  }
  return {};
}

}  // namespace tutti::finetune
