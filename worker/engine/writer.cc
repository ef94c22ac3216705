#include "worker/engine/writer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "worker/generate/generate.h"
#include "worker/model/language_model.h"
#include "worker/model/load.h"

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
                                    "num_return_sequences"};
  if (!object.is_object()) return Fail(ErrorCode::kInvalid, "expected an object", "#/generation");
  std::string known;
  for (const char* name : kNames) known += (known.empty() ? "" : ", ") + std::string(name);
  for (const auto& [key, value] : object.items()) {
    if (std::ranges::find(kNames, key) != std::end(kNames)) continue;
    return Fail(ErrorCode::kInvalid, "no such option", "#/generation/" + key, "there are " + known);
  }
  return {};
}

// A text's end tokens: the tokenizer's, and all that config.json names.
std::vector<std::int64_t> EndTokens(const text::Tokenizer& tokenizer,
                                    const model::ModelConfig& config) {
  std::vector<std::int64_t> ends;
  if (const auto eos = tokenizer.special().eos) ends.push_back(*eos);
  const json object = json::parse(config.text, nullptr, /*allow_exceptions=*/false);
  const json named = object.is_object() ? object.value("eos_token_id", json()) : json();
  for (const json& id : named.is_array() ? named : json::array({named})) {
    if (id.is_number_integer()) ends.push_back(id.get<std::int64_t>());
  }
  std::ranges::sort(ends);
  ends.erase(std::ranges::unique(ends).begin(), ends.end());
  return ends;
}

}  // namespace

Result<generate::Options> ReadGeneration(const json& object) {
  TUTTI_RETURN_IF_ERROR(CheckNames(object));
  generate::Options o{.max_new_tokens = kNewTokens};
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
  return o;
}

Writer::Writer(text::Tokenizer tokenizer, std::unique_ptr<model::Model> model)
    : tokenizer_(std::move(tokenizer)),
      model_(std::move(model)),
      parameters_(static_cast<std::size_t>(model_->layout().total())) {}

Result<Writer> Writer::Load(const std::filesystem::path& directory) {
  TUTTI_ASSIGN_OR_RETURN(model::ModelConfig config, model::ReadModelConfig(directory));
  TUTTI_ASSIGN_OR_RETURN(text::Tokenizer tokenizer, text::Tokenizer::Load(directory));
  config.head = model::Head::kCausalLm;
  TUTTI_ASSIGN_OR_RETURN(std::unique_ptr<model::Model> model, model::MakeModel(config));
  TUTTI_RETURN_IF_ERROR(model::CheckWeights(*model, directory));
  Writer writer(std::move(tokenizer), std::move(model));
  TUTTI_RETURN_IF_ERROR(
      model::LoadWeights(*writer.model_, directory, /*seed=*/0, writer.parameters_));
  writer.model_->Bind(writer.parameters_.data());
  return writer;
}

Result<std::vector<std::vector<WrittenText>>> Writer::Write(const std::vector<std::string>& texts,
                                                            generate::Options options) {
  options.end_tokens = EndTokens(tokenizer_, model_->config());
  std::vector<generate::Prompt> prompts;
  std::int64_t longest = 0;
  for (const std::string& text : texts) {
    TUTTI_ASSIGN_OR_RETURN(const text::Encoding encoding, tokenizer_.Encode(text));
    prompts.emplace_back(encoding.ids.begin(), encoding.ids.end());
    longest = std::max(longest, static_cast<std::int64_t>(prompts.back().size()));
  }
  const auto positions = model::PositionsOf(model_->config());
  if (positions && longest >= *positions) {
    return Fail(ErrorCode::kInvalid,
                "a text has " + std::to_string(longest) + " tokens, the model " +
                    std::to_string(*positions) + " positions: no room for an answer",
                {}, "give a shorter text");
  }
  if (positions) options.max_new_tokens = std::min(options.max_new_tokens, *positions - longest);
  TUTTI_ASSIGN_OR_RETURN(const std::vector<generate::Answer> answers,
                         generate::Generate(*model_->language(), prompts, options));
  std::vector<std::vector<WrittenText>> written(texts.size());
  const auto copies = static_cast<std::size_t>(options.num_return_sequences);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const std::vector<std::uint32_t> ids(answers[i].tokens.begin(), answers[i].tokens.end());
    TUTTI_ASSIGN_OR_RETURN(std::string text, tokenizer_.Decode(ids, /*skip_special=*/true));
    written[i / copies].push_back({.text = std::move(text),
                                   .tokens = static_cast<std::int64_t>(ids.size()),
                                   .ended = answers[i].ended});
  }
  return written;
}

}  // namespace tutti::engine
