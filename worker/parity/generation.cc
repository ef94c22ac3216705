#include <algorithm>
#include <string>

#include "worker/generate/generate.h"
#include "worker/parity/folders.h"

namespace tutti::parity {
namespace {

using generate::Answer;
using generate::Options;

std::vector<std::int64_t> EndTokens(const Json& value) {
  if (value.is_null()) return {};
  if (value.is_array()) return value.get<std::vector<std::int64_t>>();
  return {value.get<std::int64_t>()};
}

generate::EarlyStopping StoppingOf(const Json& value) {
  if (value.is_string()) return generate::EarlyStopping::kNever;
  return value.get<bool>() ? generate::EarlyStopping::kYes : generate::EarlyStopping::kNo;
}

// kUnsupported for an argument that is not built.
Result<Options> ReadOptions(const Json& args) {
  Options options;
  for (const auto& [key, value] : args.items()) {
    if (key == "max_new_tokens") {
      options.max_new_tokens = value.get<std::int64_t>();
    } else if (key == "min_new_tokens") {
      options.min_new_tokens = value.get<std::int64_t>();
    } else if (key == "do_sample") {
      options.do_sample = value.get<bool>();
    } else if (key == "num_beams") {
      options.num_beams = value.get<std::int64_t>();
    } else if (key == "num_return_sequences") {
      options.num_return_sequences = value.get<std::int64_t>();
    } else if (key == "no_repeat_ngram_size") {
      options.no_repeat_ngram_size = value.get<std::int64_t>();
    } else if (key == "repetition_penalty") {
      options.repetition_penalty = value.get<double>();
    } else if (key == "length_penalty") {
      options.length_penalty = value.get<double>();
    } else if (key == "early_stopping") {
      options.early_stopping = StoppingOf(value);
    } else if (key == "eos_token_id") {
      options.end_tokens = EndTokens(value);
    } else if (key != "pad_token_id" && !value.is_null()) {
      return Fail(ErrorCode::kUnsupported, "the argument " + key + " is not supported yet");
    }
  }
  return options;
}

// The rows of input_ids without their padding.
std::vector<generate::Prompt> Prompts(const Json& test) {
  auto prompts = test.at("input_ids").get<std::vector<generate::Prompt>>();
  if (!test.contains("attention_mask")) return prompts;
  const auto masks = test["attention_mask"].get<std::vector<std::vector<int>>>();
  for (std::size_t row = 0; row < prompts.size(); ++row) {
    generate::Prompt kept;
    for (std::size_t i = 0; i < prompts[row].size(); ++i) {
      if (masks[row][i] != 0) kept.push_back(prompts[row][i]);
    }
    prompts[row] = std::move(kept);
  }
  return prompts;
}

// Transformers' beam search takes pad_token_id 0 for none, and pads with the end token then.
std::int64_t PaddingOf(const Json& test, const Options& options) {
  const Json& padding = test.at("args").at("pad_token_id");
  const bool none = padding.is_null() || (options.num_beams > 1 && padding == 0);
  if (none && !options.end_tokens.empty()) return options.end_tokens.front();
  return padding.is_null() ? -1 : padding.get<std::int64_t>();
}

// What `generate` returns: the padded prompt, the answer, and padding up to the longest.
Json Sequences(const Json& test, const std::vector<Answer>& answers, const Options& options) {
  const auto inputs = test.at("input_ids").get<std::vector<std::vector<std::int64_t>>>();
  const auto copies = static_cast<std::size_t>(options.num_return_sequences);
  std::size_t longest = 0;
  for (const Answer& answer : answers) longest = std::max(longest, answer.tokens.size());
  Json rows = Json::array();
  for (std::size_t i = 0; i < answers.size(); ++i) {
    std::vector<std::int64_t> row = inputs.at(i / copies);
    row.insert(row.end(), answers[i].tokens.begin(), answers[i].tokens.end());
    row.resize(inputs.front().size() + longest, PaddingOf(test, options));
    rows.push_back(std::move(row));
  }
  return rows;
}

Status RunCase(model::LanguageModel& model, const Json& test, const std::string& name,
               Report& report) {
  const Result<Options> options = ReadOptions(test.at("args"));
  if (!options) {
    report.Refused(name, options.error());
    return {};
  }
  TUTTI_ASSIGN_OR_RETURN(const std::vector<Answer> answers,
                         generate::Generate(model, Prompts(test), *options));
  Json tokens = Json::array();
  std::int64_t ended = 0;
  std::vector<double> scores;
  for (const Answer& answer : answers) {
    tokens.push_back(answer.tokens);
    if (answer.ended) ++ended;
    scores.push_back(answer.score);
  }
  const bool same = tokens == test.at("new_tokens");
  report.Case(same, name + "/new_tokens",
              same ? "" : "got " + tokens.dump() + ", want " + test.at("new_tokens").dump());
  report.Case(test.at("ended") == ended, name + "/ended", std::to_string(ended));
  report.Case(Sequences(test, answers, *options) == test.at("sequences"), name + "/sequences", "");
  if (test.contains("sequences_scores")) {
    report.Compare(name + "/scores", scores, test["sequences_scores"].get<std::vector<double>>(),
                   {.absolute = 1e-4});
  }
  return {};
}

}  // namespace

Status RunGeneration(model::LanguageModel& model, const Json& cases, const std::string& name,
                     Report& report) {
  for (const Json& test : cases) {
    TUTTI_RETURN_IF_ERROR(
        RunCase(model, test, name + "/" + test.at("name").get<std::string>(), report));
  }
  return {};
}

}  // namespace tutti::parity
