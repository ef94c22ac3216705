#include "worker/finetune/language.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/file/file.h"
#include "common/json/parse.h"
#include "jobs/spec/names.h"
#include "worker/finetune/eval_samples.h"
#include "worker/finetune/start.h"

namespace tutti::finetune {
namespace {

// Pairs of which an answer has no room are compared with nothing.
Status CheckPairs(const train::Samples& samples, const std::string& name,
                  std::vector<std::string>& warnings) {
  std::int64_t cut = 0;
  for (std::int64_t pair = 0; pair < samples.size(); ++pair) {
    const bool whole = std::ranges::all_of(
        samples.RowsOf(pair), [&](std::int64_t row) { return samples.PredictedIn(row) > 0; });
    if (!whole) ++cut;
  }
  if (cut == samples.size()) {
    return Fail(ErrorCode::kInvalid, "no pair has both its answers within max_length", name,
                "raise data.max_length, or shorten the prompts");
  }
  if (cut > 0) {
    warnings.push_back("of " + std::to_string(cut) + " of " + std::to_string(samples.size()) +
                       " pairs an answer has no token within max_length");
  }
  return {};
}

// Rows whose prompt alone fills max_length teach nothing.
Status CheckPredicted(const train::Samples& samples, const std::string& name,
                      std::vector<std::string>& warnings) {
  if (samples.pairs) return CheckPairs(samples, name, warnings);
  std::int64_t empty = 0;
  for (std::int64_t row = 0; row < samples.size(); ++row) {
    if (!(samples.ItemsOf(row) > 0)) ++empty;
  }
  if (empty == samples.size()) {
    return Fail(
        ErrorCode::kInvalid, "no row has a token to predict within max_length", name,
        "raise data.max_length, or shorten the prompts; of conversations what messages of role "
        "assistant say is trained, where their weight is not 0");
  }
  if (empty > 0) {
    warnings.push_back(std::to_string(empty) + " of " + std::to_string(samples.size()) +
                       " rows have no token to predict within max_length: they teach nothing");
  }
  return {};
}

// Warns where a built-in template stands in for the model's own.
Result<std::shared_ptr<const text::ChatFormat>> ChooseChat(const Loader& loader, Job& job) {
  TUTTI_ASSIGN_OR_RETURN(text::ChatFormat chat,
                         text::ChooseChatFormat({.model_directory = job.model_dir,
                                                 .tokenizer = job.tokenizer,
                                                 .model_type = job.model->config().model_type,
                                                 .wanted = loader.inputs.spec.data.chat_template}));
  if (!chat.is_own() && !loader.inputs.spec.data.chat_template &&
      data::IsConversation(loader.format)) {
    job.warnings.push_back("the model has no chat template: the built-in '" + chat.name +
                           "' is used (data.chat_template names another)");
  }
  return std::make_shared<const text::ChatFormat>(std::move(chat));
}

Status CheckMethod(const spec::JobSpec& spec, data::RowFormat format) {
  const bool dpo = std::holds_alternative<spec::DpoSpec>(spec.method);
  if (dpo == (format == data::RowFormat::kPreference)) return {};
  return Fail(ErrorCode::kInvalid,
              dpo ? "method dpo needs rows of format preference (prompt, chosen, rejected), these "
                    "are " +
                        std::string(ToString(format))
                  : "rows of format preference need method dpo",
              TrainName(spec), dpo ? "" : "write method: {dpo: {}}");
}

Status ChooseSamples(Job& job) {
  TUTTI_ASSIGN_OR_RETURN(job.sampled, SampledRows(job));
  if (job.eval && job.spec.evaluation.samples != 0 && job.sampled.empty()) {
    job.warnings.emplace_back(
        "no evaluation row has a prompt with room for an answer: none is sampled");
  }
  return {};
}

constexpr std::int64_t kNoToken = -1;  // what some configurations write for none
constexpr std::int64_t kGpt2End = 50256;

// Adds what `object`, of the file `where`, names as eos_token_id, and says whether it names any.
Result<bool> AddEnds(const nlohmann::json& object, const std::string& where,
                     const model::ModelConfig& config, std::vector<std::int64_t>& ends) {
  if (!object.is_object()) return Fail(ErrorCode::kInvalid, "is not a JSON object", where);
  const auto named = object.find("eos_token_id");
  if (named == object.end() || named->is_null()) return false;
  const auto vocabulary = model::VocabularyOf(config);
  for (const nlohmann::json& id : named->is_array() ? *named : nlohmann::json::array({*named})) {
    if (id == kNoToken) continue;
    const bool whole = id.is_number_integer();
    const bool beyond = whole && vocabulary && id >= *vocabulary;
    // GPT2Config writes it for vocabularies of every size, where nobody says another.
    if (beyond && config.model_type == "gpt2" && id == kGpt2End) continue;
    if (!whole || id < 0 || beyond) {
      return Fail(ErrorCode::kInvalid,
                  "eos_token_id is " + model::ShowJson(id.dump()) + ", no id of the model's " +
                      (vocabulary ? std::to_string(*vocabulary) + " tokens" : "tokens"),
                  where, "write the id of the token that ends a text, or null");
    }
    ends.push_back(id.get<std::int64_t>());
  }
  return true;
}

// generation_config.json's instead of config.json's, as Transformers' generate has it.
Status AddNamedEnds(const std::filesystem::path& model_dir, const model::ModelConfig& config,
                    std::vector<std::int64_t>& ends) {
  const std::filesystem::path path = model_dir / "generation_config.json";
  const auto text = ReadFile(path, Bytes{1 << 20});
  if (!text && text.error().code != ErrorCode::kNotFound) return Fail(text.error());
  bool named = false;
  if (text) {
    TUTTI_ASSIGN_OR_RETURN(const nlohmann::json own, ParseJson(*text, path.string()));
    TUTTI_ASSIGN_OR_RETURN(named, AddEnds(own, path.string(), config, ends));
  }
  if (named) return {};
  TUTTI_ASSIGN_OR_RETURN(const nlohmann::json object, ParseJson(config.text, config.path));
  TUTTI_RETURN_IF_ERROR(AddEnds(object, config.path, config, ends));
  return {};
}

}  // namespace

std::string PromptsText(bool chat) {
  return nlohmann::ordered_json{{"prompts", chat ? "chat" : "text"}}.dump(2) + "\n";
}

std::optional<bool> AskedByChat(const std::filesystem::path& model_dir) {
  const Result<std::string> text = ReadFile(model_dir / kPromptsFile, Bytes{1 << 16});
  if (!text) return std::nullopt;
  const auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  const auto prompts = json.find("prompts");
  if (prompts == json.end() || !prompts->is_string()) return std::nullopt;
  return *prompts == "chat";
}

Result<std::vector<std::int64_t>> EndTokens(const std::filesystem::path& model_dir,
                                            const text::Tokenizer& tokenizer,
                                            const model::ModelConfig& config, bool chat) {
  std::vector<std::int64_t> ends;
  if (const auto eos = tokenizer.special().eos) ends.push_back(*eos);
  TUTTI_RETURN_IF_ERROR(AddNamedEnds(model_dir, config, ends));
  for (const char* turn : {"<|im_end|>", "<|eot_id|>", "<end_of_turn>"}) {
    if (const auto id = tokenizer.IdOf(turn); chat && id) ends.push_back(*id);
  }
  std::ranges::sort(ends);
  ends.erase(std::ranges::unique(ends).begin(), ends.end());
  return ends;
}

Result<data::RowFormat> LanguageFormat(spec::DataFormat wanted, const data::LoadOptions& options) {
  switch (wanted) {
    case spec::DataFormat::kAuto:
      return data::DetectFormat(options);
    case spec::DataFormat::kText:
      return data::RowFormat::kText;
    case spec::DataFormat::kPromptCompletion:
      return data::RowFormat::kPromptCompletion;
    case spec::DataFormat::kChat:
      return data::RowFormat::kChat;
    case spec::DataFormat::kAlpaca:
      return data::RowFormat::kAlpaca;
    case spec::DataFormat::kShareGpt:
      return data::RowFormat::kShareGpt;
    case spec::DataFormat::kPreference:
      return data::RowFormat::kPreference;
    case spec::DataFormat::kTextLabel:
    case spec::DataFormat::kPairs:
      break;
  }
  return Fail(ErrorCode::kUnsupported,
              "format " + std::string(ToString(wanted)) + " is none of text-generation",
              "data.format",
              "supported: auto, text, prompt-completion, chat, alpaca, sharegpt, preference");
}

Result<Job> PrepareGeneration(const JobInputs& inputs, Start start) {
  const spec::JobSpec& spec = inputs.spec;
  start.config.head = model::Head::kCausalLm;
  TUTTI_ASSIGN_OR_RETURN(std::unique_ptr<model::Model> model, model::MakeModel(start.config));
  TUTTI_RETURN_IF_ERROR(SetUpModel(inputs, *model));
  Job job{.spec = spec,
          .model_dir = inputs.model_dir,
          .tokenizer = std::move(start.tokenizer),
          .model = std::move(model),
          .max_length = start.max_length,
          .train = {}};
  Loader loader{.inputs = inputs,
                .tokenizer = job.tokenizer,
                .max_length = job.max_length,
                .end_token = job.tokenizer.special().eos};
  TUTTI_ASSIGN_OR_RETURN(
      loader.format,
      LanguageFormat(spec.data.format, loader.OptionsOf(inputs.train_path, TrainName(spec))));
  job.format = loader.format;
  if (data::IsStructured(loader.format)) {
    TUTTI_ASSIGN_OR_RETURN(loader.chat, ChooseChat(loader, job));
    bool asks = data::IsConversation(loader.format);
    if (loader.format == data::RowFormat::kPreference) {
      TUTTI_ASSIGN_OR_RETURN(
          asks, data::HasMessages(loader.OptionsOf(inputs.train_path, TrainName(spec))));
      asks = asks || AskedByChat(job.model_dir).value_or(false);
    }
    if (asks) job.chat = loader.chat;
  }
  if (const auto* dpo = std::get_if<spec::DpoSpec>(&spec.method)) {
    job.preference = train::PreferenceOf(*dpo);
    if (dpo->lora && dpo->lora->lora_dropout > 0) {
      job.warnings.emplace_back("lora_dropout has no effect: no dropout acts in dpo, as in TRL");
    }
  }
  TUTTI_ASSIGN_OR_RETURN(job.end_tokens, EndTokens(job.model_dir, job.tokenizer,
                                                   job.model->config(), job.chat != nullptr));
  TUTTI_RETURN_IF_ERROR(CheckMethod(spec, loader.format));
  TUTTI_ASSIGN_OR_RETURN(const auto dataset, loader.Load(inputs.train_path, TrainName(spec)));
  TUTTI_RETURN_IF_ERROR(CheckVocabulary(*dataset, start.config));
  job.train = LanguageSamples(dataset, loader.format);
  TUTTI_RETURN_IF_ERROR(CheckPredicted(job.train, TrainName(spec), job.warnings));
  WarnOfCutRows(*dataset, job.max_length, job.train.pairs, job.warnings);
  TUTTI_RETURN_IF_ERROR(PrepareEval(loader, nullptr, job));
  if (spec.data.packing) job.train = train::Pack(job.train, job.max_length);
  TUTTI_RETURN_IF_ERROR(ChooseSamples(job));
  return job;
}

}  // namespace tutti::finetune
