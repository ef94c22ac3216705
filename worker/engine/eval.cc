#include <cstdio>
#include <iostream>
#include <map>
#include <memory>

#include "worker/data/dataset.h"
#include "worker/engine/classifier.h"
#include "worker/engine/request.h"
#include "worker/engine/tools.h"
#include "worker/engine/writer.h"
#include "worker/finetune/job.h"
#include "worker/model/adapter_files.h"
#include "worker/train/evaluator.h"

namespace tutti::engine {
namespace {

using nlohmann::json;

struct EvalInput {
  std::string model_dir, data_path;
  std::map<std::string, std::string> columns;
  std::optional<std::int64_t> max_length;
  bool fresh_head = false;
  bool train_on_inputs = false;
};

// Of the request's "spec": a job's, or its "data" alone.
Status ReadSpec(const json& request, EvalInput& input) {
  const auto spec = request.find("spec");
  if (spec == request.end() || spec->is_null()) return {};
  if (!spec->is_object()) return Fail(ErrorCode::kInvalid, "expected an object", "#/spec");
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
  if (data::IsConversation(options.format)) {
    TUTTI_ASSIGN_OR_RETURN(text::ChatFormat chat,
                           text::ChooseChatFormat({.model_directory = input.model_dir,
                                                   .tokenizer = writer.tokenizer(),
                                                   .model_type = config.model_type}));
    options.chat = std::make_shared<const text::ChatFormat>(std::move(chat));
  } else if (data::IsStructured(options.format)) {
    return Fail(ErrorCode::kUnsupported,
                "evaluation on rows of format " + std::string(ToString(options.format)) +
                    " is not supported yet",
                input.data_path, "give rows of text, prompt-completion, or conversations");
  }
  TUTTI_ASSIGN_OR_RETURN(data::Dataset loaded, data::Dataset::Load(options, writer.tokenizer()));
  const auto dataset = std::make_shared<const data::Dataset>(std::move(loaded));
  TUTTI_RETURN_IF_ERROR(finetune::CheckVocabulary(*dataset, config));
  const train::Samples samples = train::AllRows(dataset);
  TUTTI_ASSIGN_OR_RETURN(const train::Metrics metrics, train::Evaluate(writer.model(), samples));
  return AnswerOf(metrics, samples);
}

// Without a new head, the classes are the model's; with one, the data's.
Result<json> EvalRows(const EvalInput& input) {
  TUTTI_ASSIGN_OR_RETURN(const model::ModelConfig config,
                         model::ReadModelConfig(model::BaseOf(input.model_dir)));
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
  TUTTI_RETURN_IF_ERROR(ReadSpec(request, input));
  return EvalRows(input);
}

int EvalByHand(const EvalArguments& arguments) {
  const Result<json> answer = EvalRows({.model_dir = arguments.model,
                                        .data_path = arguments.data,
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
