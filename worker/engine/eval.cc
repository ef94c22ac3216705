#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "jobs/spec/names.h"
#include "worker/data/dataset.h"
#include "worker/engine/classifier.h"
#include "worker/engine/request.h"
#include "worker/engine/tools.h"
#include "worker/engine/writer.h"
#include "worker/finetune/job.h"
#include "worker/finetune/weights.h"
#include "worker/model/adapter_files.h"
#include "worker/model/load.h"
#include "worker/train/evaluator.h"
#include "worker/train/preference.h"

namespace tutti::engine {
namespace {

using nlohmann::json;

struct EvalInput {
  std::string model_dir, data_path, reference_dir;
  std::map<std::string, std::string> columns;
  std::optional<std::int64_t> max_length;
  bool fresh_head = false;
  bool train_on_inputs = false;
  train::PreferenceOptions preference{};
};

// Of a job's method: how it learned from preferences.
Status ReadMethod(const json& spec, EvalInput& input) {
  const json::json_pointer place("/method/dpo");
  if (!spec.contains(place) || !spec.at(place).is_object()) return {};
  const json& given = spec.at(place);
  spec::DpoSpec dpo;
  if (given.contains("beta") && given["beta"].is_number()) dpo.beta = given["beta"];
  if (given.contains("label_smoothing") && given["label_smoothing"].is_number()) {
    dpo.label_smoothing = given["label_smoothing"];
  }
  if (given.contains("loss_type") && given["loss_type"].is_string()) {
    dpo.loss_type = given["loss_type"];
  }
  if (std::ranges::find(spec::DpoLossNames(), dpo.loss_type) == spec::DpoLossNames().end()) {
    return Fail(ErrorCode::kInvalid, "there is no loss of this name",
                "#/spec/method/dpo/loss_type");
  }
  input.preference = train::PreferenceOf(dpo);
  return {};
}

// Of the request's "spec": a job's, or its "data" alone.
Status ReadSpec(const json& request, EvalInput& input) {
  const auto spec = request.find("spec");
  if (spec == request.end() || spec->is_null()) return {};
  if (!spec->is_object()) return Fail(ErrorCode::kInvalid, "expected an object", "#/spec");
  TUTTI_RETURN_IF_ERROR(ReadMethod(*spec, input));
  const json& data = spec->contains("data") ? (*spec)["data"] : *spec;
  if (!data.is_object()) return Fail(ErrorCode::kInvalid, "expected an object", "#/spec/data");
  TUTTI_ASSIGN_OR_RETURN(input.max_length, OptionalCount(data, "max_length"));
  input.train_on_inputs = data.value("train_on_inputs", json(false)) == true;
  const auto columns = data.find("columns");
  if (columns == data.end() || columns->is_null()) return {};
  for (const auto& [role, column] : columns->items()) {
    if (!column.is_string()) {
      return Fail(ErrorCode::kInvalid, "expected the name of a column",
                  "#/spec/data/columns/" + role);
    }
    input.columns[role] = column.get<std::string>();
  }
  return {};
}

json AnswerOf(const train::Metrics& metrics, const train::Samples& samples) {
  json answer = json::object();
  for (const auto& [name, value] : metrics) answer[name] = value;
  answer["rows"] = samples.size();
  return answer;
}

// What the model was before it learned: an adapter's base, else the reference that was given, with
// what its job resumed from.
Result<std::string> ReferenceOf(const EvalInput& input) {
  if (input.reference_dir.empty() && model::IsAdapter(input.model_dir)) {
    return model::BaseOf(input.model_dir).string();
  }
  if (input.reference_dir.empty()) {
    return Fail(ErrorCode::kInvalid, "there is no reference to compare the answers with",
                input.data_path,
                "rows of preferences evaluate models that learned from preferences, or adapters");
  }
  const std::string resumed = input.reference_dir + "/" + finetune::kResumeFolder;
  return std::filesystem::exists(resumed) ? resumed : input.reference_dir;
}

Result<json> EvalPairs(const EvalInput& input, Writer& writer,
                       std::shared_ptr<const data::Dataset> dataset) {
  TUTTI_ASSIGN_OR_RETURN(const std::string directory, ReferenceOf(input));
  std::vector<float> reference(static_cast<std::size_t>(writer.model().base_layout().total()));
  TUTTI_RETURN_IF_ERROR(model::CheckWeights(writer.model(), model::BaseOf(directory)));
  TUTTI_RETURN_IF_ERROR(model::LoadMerged(writer.model(), directory, /*seed=*/0, reference));
  writer.model().BindBase(reference.data());
  const train::Samples samples = train::Pairs(std::move(dataset));
  TUTTI_ASSIGN_OR_RETURN(
      const train::Metrics metrics,
      train::Evaluate(writer.model(), samples, {.preference = input.preference}));
  return AnswerOf(metrics, samples);
}

// A language model on the rows of a file, its format told by the columns.
Result<json> EvalText(const EvalInput& input) {
  TUTTI_ASSIGN_OR_RETURN(Writer writer, Writer::Load(input.model_dir));
  const model::ModelConfig& config = writer.model().config();
  TUTTI_ASSIGN_OR_RETURN(const std::int64_t max_length,
                         finetune::MaxLength(input.max_length, config, writer.tokenizer()));
  data::LoadOptions options{.path = input.data_path,
                            .shown_name = {},
                            .columns = input.columns,
                            .max_length = max_length,
                            .cache_dir = {},
                            .train_on_inputs = input.train_on_inputs,
                            .end_token = writer.tokenizer().special().eos};
  TUTTI_ASSIGN_OR_RETURN(options.format, data::DetectFormat(options));
  if (data::IsStructured(options.format)) {
    TUTTI_ASSIGN_OR_RETURN(text::ChatFormat chat,
                           text::ChooseChatFormat({.model_directory = input.model_dir,
                                                   .tokenizer = writer.tokenizer(),
                                                   .model_type = config.model_type}));
    options.chat = std::make_shared<const text::ChatFormat>(std::move(chat));
  }
  TUTTI_ASSIGN_OR_RETURN(data::Dataset loaded, data::Dataset::Load(options, writer.tokenizer()));
  const auto dataset = std::make_shared<const data::Dataset>(std::move(loaded));
  TUTTI_RETURN_IF_ERROR(finetune::CheckVocabulary(*dataset, config));
  if (options.format == data::RowFormat::kPreference) return EvalPairs(input, writer, dataset);
  const train::Samples samples = train::AllRows(dataset);
  TUTTI_ASSIGN_OR_RETURN(const train::Metrics metrics, train::Evaluate(writer.model(), samples));
  return AnswerOf(metrics, samples);
}

// Without a new head, the classes are the model's; with one, the data's.
Result<json> EvalRows(const EvalInput& input) {
  TUTTI_ASSIGN_OR_RETURN(const model::ModelConfig config, model::ReadConfigOf(input.model_dir));
  if (config.head == model::Head::kCausalLm && !input.fresh_head) return EvalText(input);
  TUTTI_ASSIGN_OR_RETURN(const text::Tokenizer tokenizer, text::Tokenizer::Load(input.model_dir));
  TUTTI_ASSIGN_OR_RETURN(const std::int64_t max_length,
                         finetune::MaxLength(input.max_length, config, tokenizer));
  TUTTI_ASSIGN_OR_RETURN(data::Dataset loaded, data::Dataset::Load({.path = input.data_path,
                                                                    .shown_name = {},
                                                                    .columns = input.columns,
                                                                    .max_length = max_length,
                                                                    .cache_dir = {}},
                                                                   tokenizer));
  const auto dataset = std::make_shared<const data::Dataset>(std::move(loaded));
  data::LabelTable table = dataset->labels();
  Classifier::Options options{.directory = input.model_dir};
  if (input.fresh_head) {
    options.fresh_labels = table.names;
  } else {
    table.names = config.labels;
  }
  TUTTI_ASSIGN_OR_RETURN(Classifier classifier, Classifier::Load(options));
  TUTTI_RETURN_IF_ERROR(finetune::CheckVocabulary(*dataset, config));
  TUTTI_ASSIGN_OR_RETURN(const train::Samples samples,
                         train::AllRows(dataset, table, /*strict=*/false));
  if (std::ranges::all_of(samples.labels,
                          [](std::int64_t label) { return label == model::kIgnoreLabel; })) {
    return Fail(ErrorCode::kInvalid, "no label of the data is one of the model's", input.data_path,
                "the model knows: " + (config.labels.empty() ? "none" : config.labels.front()) +
                    (config.labels.size() > 1 ? ", …" : ""));
  }
  TUTTI_ASSIGN_OR_RETURN(const train::Metrics metrics,
                         train::Evaluate(classifier.model(), samples));
  return AnswerOf(metrics, samples);
}

}  // namespace

Result<json> Eval(const json& request) {
  EvalInput input;
  TUTTI_ASSIGN_OR_RETURN(input.model_dir, RequiredText(request, "model_dir"));
  TUTTI_ASSIGN_OR_RETURN(input.data_path, RequiredText(request, "data_path"));
  if (request.contains("reference_dir")) {
    TUTTI_ASSIGN_OR_RETURN(input.reference_dir, RequiredText(request, "reference_dir"));
  }
  TUTTI_RETURN_IF_ERROR(ReadSpec(request, input));
  return EvalRows(input);
}

int EvalByHand(const EvalArguments& arguments) {
  const Result<json> answer = EvalRows({.model_dir = arguments.model,
                                        .data_path = arguments.data,
                                        .reference_dir = arguments.reference,
                                        .columns = {},
                                        .max_length = arguments.max_length,
                                        .fresh_head = arguments.fresh_head});
  if (arguments.json || !answer) return WriteByHand(answer, arguments.json);
  for (const auto& [name, value] : answer->items()) {
    std::printf("%-10s %s\n", name.c_str(), value.dump().c_str());
  }
  std::fflush(stdout);
  return kExitOk;
}

}  // namespace tutti::engine
