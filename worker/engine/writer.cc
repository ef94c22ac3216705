#include "worker/engine/writer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "worker/engine/answer_stream.h"
#include "worker/finetune/language.h"
#include "worker/model/adapter_files.h"
#include "worker/model/language_model.h"
#include "worker/model/load.h"
#include "worker/text/chat_format.h"

namespace tutti::engine {
namespace {

using nlohmann::json;

constexpr std::int64_t kNewTokens = 64;
constexpr std::int64_t kNewTokensMax = 4096;

Status ReadCount(const json& object, const char* name, std::int64_t from, std::int64_t to,
                 std::int64_t& value) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return {};
  if (!found->is_number_integer() || *found < from || *found > to) {
    return Fail(
        ErrorCode::kInvalid,
        "expected a whole number from " + std::to_string(from) + " to " + std::to_string(to),
        std::string("#/generation/") + name);
  }
  value = found->get<std::int64_t>();
  return {};
}

Status ReadNumber(const json& object, const char* name, double& value) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return {};
  if (!found->is_number()) {
    return Fail(ErrorCode::kInvalid, "expected a number", std::string("#/generation/") + name);
  }
  value = found->get<double>();
  return {};
}

Status CheckNames(const json& object) {
  constexpr const char* kNames[] = {"max_new_tokens",
                                    "min_new_tokens",
                                    "do_sample",
                                    "temperature",
                                    "top_k",
                                    "top_p",
                                    "seed",
                                    "repetition_penalty",
                                    "no_repeat_ngram_size",
                                    "num_beams",
                                    "length_penalty",
                                    "num_return_sequences",
                                    "chat",
                                    "system",
                                    "stop"};
  if (!object.is_object()) return Fail(ErrorCode::kInvalid, "expected an object", "#/generation");
  std::string known;
  for (const char* name : kNames) known += (known.empty() ? "" : ", ") + std::string(name);
  for (const auto& [key, value] : object.items()) {
    if (std::ranges::find(kNames, key) != std::end(kNames)) continue;
    return Fail(ErrorCode::kInvalid, "no such option", "#/generation/" + key, "there are " + known);
  }
  return {};
}

Result<std::vector<std::string>> ReadStops(const json& object) {
  std::vector<std::string> stops;
  const auto found = object.find("stop");
  if (found == object.end() || found->is_null()) return stops;
  for (const json& stop : found->is_array() ? *found : json::array({*found})) {
    if (!stop.is_string() || stop.get_ref<const std::string&>().empty() || stops.size() == 16) {
      return Fail(ErrorCode::kInvalid, "expected a text, or a list of up to 16",
                  "#/generation/stop");
    }
    stops.push_back(stop.get<std::string>());
  }
  return stops;
}

Status ReadChat(const json& object, WriteOptions& options) {
  if (const auto found = object.find("chat"); found != object.end() && !found->is_null()) {
    if (!found->is_boolean()) {
      return Fail(ErrorCode::kInvalid, "expected true or false", "#/generation/chat");
    }
    options.chat = found->get<bool>();
  }
  if (const auto found = object.find("system"); found != object.end() && !found->is_null()) {
    if (!found->is_string()) {
      return Fail(ErrorCode::kInvalid, "expected text", "#/generation/system");
    }
    options.system = found->get<std::string>();
  }
  return {};
}

}  // namespace

Result<WriteOptions> ReadGeneration(const json& object) {
  TUTTI_RETURN_IF_ERROR(CheckNames(object));
  WriteOptions options{.generation = {.max_new_tokens = kNewTokens}};
  generate::Options& o = options.generation;
  TUTTI_RETURN_IF_ERROR(ReadChat(object, options));
  TUTTI_ASSIGN_OR_RETURN(options.stop, ReadStops(object));
  constexpr std::int64_t kAny = std::int64_t{1} << 30;
  TUTTI_RETURN_IF_ERROR(ReadCount(object, "max_new_tokens", 1, kNewTokensMax, o.max_new_tokens));
  TUTTI_RETURN_IF_ERROR(ReadCount(object, "min_new_tokens", 0, kNewTokensMax, o.min_new_tokens));
  TUTTI_RETURN_IF_ERROR(ReadCount(object, "top_k", 0, kAny, o.top_k));
  TUTTI_RETURN_IF_ERROR(ReadCount(object, "no_repeat_ngram_size", 0, kAny, o.no_repeat_ngram_size));
  TUTTI_RETURN_IF_ERROR(ReadCount(object, "num_beams", 1, 64, o.num_beams));
  TUTTI_RETURN_IF_ERROR(ReadCount(object, "num_return_sequences", 1, 64, o.num_return_sequences));
  std::int64_t seed = 0;
  TUTTI_RETURN_IF_ERROR(ReadCount(object, "seed", 0, INT64_MAX, seed));
  o.seed = static_cast<std::uint64_t>(seed);
  TUTTI_RETURN_IF_ERROR(ReadNumber(object, "temperature", o.temperature));
  TUTTI_RETURN_IF_ERROR(ReadNumber(object, "top_p", o.top_p));
  TUTTI_RETURN_IF_ERROR(ReadNumber(object, "repetition_penalty", o.repetition_penalty));
  TUTTI_RETURN_IF_ERROR(ReadNumber(object, "length_penalty", o.length_penalty));
  o.do_sample = std::ranges::any_of(
      std::initializer_list<const char*>{"temperature", "top_k", "top_p", "seed"},
      [&object](const char* name) { return object.contains(name); });
  if (const auto found = object.find("do_sample"); found != object.end()) {
    if (!found->is_boolean()) {
      return Fail(ErrorCode::kInvalid, "expected true or false", "#/generation/do_sample");
    }
    o.do_sample = found->get<bool>();
  }
  TUTTI_RETURN_IF_ERROR(generate::Check(o));
  return options;
}

Writer::Writer(std::filesystem::path directory, text::Tokenizer tokenizer,
               std::unique_ptr<model::Model> model)
    : directory_(std::move(directory)),
      tokenizer_(std::move(tokenizer)),
      model_(std::move(model)),
      parameters_(static_cast<std::size_t>(model_->layout().total())) {}

Result<Writer> Writer::Load(const std::filesystem::path& directory) {
  TUTTI_ASSIGN_OR_RETURN(model::ModelConfig config, model::ReadConfigOf(directory));
  TUTTI_ASSIGN_OR_RETURN(text::Tokenizer tokenizer, text::Tokenizer::Load(directory));
  config.head = model::Head::kCausalLm;
  TUTTI_ASSIGN_OR_RETURN(std::unique_ptr<model::Model> model, model::MakeModel(config));
  TUTTI_RETURN_IF_ERROR(model::CheckWeights(*model, model::BaseOf(directory)));
  Writer writer(directory, std::move(tokenizer), std::move(model));
  TUTTI_RETURN_IF_ERROR(
      model::LoadMerged(*writer.model_, directory, /*seed=*/0, writer.parameters_));
  writer.model_->Bind(writer.parameters_.data());
  return writer;
}

Result<std::vector<generate::Prompt>> Writer::PromptsOf(const std::vector<std::string>& texts,
                                                        const WriteOptions& options,
                                                        bool chat) const {
  std::vector<generate::Prompt> prompts;
  std::optional<text::ChatFormat> format;
  if (chat) {
    TUTTI_ASSIGN_OR_RETURN(format,
                           text::ChooseChatFormat({.model_directory = directory_,
                                                   .tokenizer = tokenizer_,
                                                   .model_type = model_->config().model_type}));
  }
  for (const std::string& text : texts) {
    std::string prompt = text;
    if (format) {
      text::Conversation conversation;
      if (!options.system.empty()) {
        conversation.messages.push_back({{"role", "system"}, {"content", options.system}});
      }
      conversation.messages.push_back({{"role", "user"}, {"content", text}});
      TUTTI_ASSIGN_OR_RETURN(prompt, text::RenderPrompt(*format, conversation));
    }
    // A template writes the special tokens itself.
    TUTTI_ASSIGN_OR_RETURN(const text::Encoding encoding,
                           tokenizer_.Encode(prompt, {.add_special_tokens = !format}));
    prompts.emplace_back(encoding.ids.begin(), encoding.ids.end());
  }
  return prompts;
}

// Tells of each answer's text as it grows, and ends it at a stop string.
Result<std::vector<generate::Answer>> Writer::GenerateTold(
    const std::vector<generate::Prompt>& prompts, const generate::Options& generation,
    const WriteOptions& options, const OnText& on_text) {
  if ((!on_text && options.stop.empty()) || generation.num_beams > 1) {
    return generate::Generate(*model_->language(), prompts, generation);
  }
  std::vector<AnswerStream> streams(
      prompts.size() * static_cast<std::size_t>(generation.num_return_sequences),
      AnswerStream(tokenizer_, options.stop));
  const auto tell = [&](std::size_t at, const std::string& text) {
    return on_text && !text.empty() ? on_text(at, text) : Status();
  };
  const auto on_token = [&](std::size_t at, std::int64_t token) -> Result<bool> {
    TUTTI_ASSIGN_OR_RETURN(const std::string text,
                           streams[at].Take(static_cast<std::uint32_t>(token)));
    TUTTI_RETURN_IF_ERROR(tell(at, text));
    return !streams[at].stopped();
  };
  TUTTI_ASSIGN_OR_RETURN(std::vector<generate::Answer> answers,
                         generate::Generate(*model_->language(), prompts, generation, on_token));
  for (std::size_t at = 0; at < streams.size(); ++at) {
    TUTTI_ASSIGN_OR_RETURN(const std::string text, streams[at].Finish());
    TUTTI_RETURN_IF_ERROR(tell(at, text));
  }
  return answers;
}

Result<std::vector<std::vector<WrittenText>>> Writer::Write(const std::vector<std::string>& texts,
                                                            const WriteOptions& options,
                                                            const OnText& on_text) {
  const bool chat = options.chat.value_or(finetune::AskedByChat(directory_).value_or(false));
  generate::Options generation = options.generation;
  TUTTI_ASSIGN_OR_RETURN(generation.end_tokens,
                         finetune::EndTokens(directory_, tokenizer_, model_->config(), chat));
  TUTTI_ASSIGN_OR_RETURN(const std::vector<generate::Prompt> prompts,
                         PromptsOf(texts, options, chat));
  std::int64_t longest = 0;
  for (const generate::Prompt& prompt : prompts) {
    longest = std::max(longest, static_cast<std::int64_t>(prompt.size()));
  }
  const auto positions = model::PositionsOf(model_->config());
  if (positions && longest >= *positions) {
    return Fail(ErrorCode::kInvalid,
                "a text has " + std::to_string(longest) + " tokens, the model " +
                    std::to_string(*positions) + " positions: no room for an answer",
                {}, "give a shorter text");
  }
  if (positions) {
    generation.max_new_tokens = std::min(generation.max_new_tokens, *positions - longest);
  }
  TUTTI_ASSIGN_OR_RETURN(const std::vector<generate::Answer> answers,
                         GenerateTold(prompts, generation, options, on_text));
  std::vector<std::vector<WrittenText>> written(texts.size());
  const auto copies = static_cast<std::size_t>(generation.num_return_sequences);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const std::vector<std::uint32_t> ids(answers[i].tokens.begin(), answers[i].tokens.end());
    TUTTI_ASSIGN_OR_RETURN(const std::string text, tokenizer_.Decode(ids, /*skip_special=*/true));
    const std::string_view before = BeforeStop(text, options.stop);
    written[i / copies].push_back({.text = std::string(before),
                                   .tokens = static_cast<std::int64_t>(ids.size()),
                                   .ended = answers[i].ended || before.size() < text.size()});
  }
  return written;
}

}  // namespace tutti::engine
