#include "worker/finetune/eval_samples.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "worker/finetune/language.h"
#include "worker/generate/generate.h"
#include "worker/model/language_model.h"

namespace tutti::finetune {
namespace {

using nlohmann::json;

constexpr std::int64_t kSamplesUsual = 3;
constexpr std::size_t kTextBytesMax = 2000;
constexpr std::size_t kHalfMax = 32;  // tokens of a prompt that the row does not set apart
constexpr std::string_view kEllipsis = "…";

bool ContinuesCharacter(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

std::string BeginningOf(std::string text) {
  if (text.size() <= kTextBytesMax) return text;
  std::size_t end = kTextBytesMax;
  while (end > 0 && ContinuesCharacter(text[end])) --end;
  return text.substr(0, end).append(kEllipsis);
}

std::string EndOf(const std::string& text) {
  if (text.size() <= kTextBytesMax) return text;
  std::size_t begin = text.size() - kTextBytesMax;
  while (begin < text.size() && ContinuesCharacter(text[begin])) ++begin;
  return std::string(kEllipsis).append(text, begin);
}

template <typename Token>
Result<std::string> TextOf(const text::Tokenizer& tokenizer, std::span<const Token> tokens) {
  const std::vector<std::uint32_t> ids(tokens.begin(), tokens.end());
  return tokenizer.Decode(ids, /*skip_special=*/true);
}

// How many of a row's tokens are its prompt, and where what is expected ends.
struct Cut {
  std::size_t prompt = 0, end = 0;
};
Cut CutOf(std::span<const float> weights) {
  const auto is_predicted = [](float weight) { return weight > 0; };
  const auto first = std::ranges::find_if(weights, is_predicted);
  const auto prompt = static_cast<std::size_t>(first - weights.begin());
  // Nothing, or a token that every text begins with.
  if (prompt <= 1) return {std::min(weights.size() / 2, kHalfMax), weights.size()};
  const auto last = std::find_if_not(first, weights.end(), is_predicted);
  return {prompt, static_cast<std::size_t>(last - weights.begin())};
}

std::int64_t RoomAfter(const Job& job, const SampledRow& row) {
  const std::int64_t wanted = job.spec.evaluation.max_new_tokens;
  const auto positions = model::PositionsOf(job.model->config());
  if (!positions) return wanted;
  return std::min(wanted, *positions - static_cast<std::int64_t>(row.prompt.size()));
}

Result<enginelink::EvalSample> AnswerRow(Job& job, const SampledRow& row,
                                         const std::function<Status()>& on_token) {
  const auto told = [&on_token](std::size_t, std::int64_t) -> Result<bool> {
    if (on_token) TUTTI_RETURN_IF_ERROR(on_token());
    return true;
  };
  TUTTI_ASSIGN_OR_RETURN(
      const std::vector<generate::Answer> answers,
      generate::Generate(*job.model->language(), std::span(&row.prompt, 1),
                         {.max_new_tokens = RoomAfter(job, row), .end_tokens = job.end_tokens},
                         told));
  TUTTI_ASSIGN_OR_RETURN(std::string text,
                         TextOf(job.tokenizer, std::span<const std::int64_t>(answers[0].tokens)));
  return enginelink::EvalSample{.prompt = row.prompt_text,
                                .answer = BeginningOf(std::move(text)),
                                .expected = row.expected,
                                .ended = answers[0].ended};
}

// Between ranks: [[row, answer, ended]].
Status TakeAnswers(const std::string& bytes, std::vector<enginelink::EvalSample>& samples) {
  const json answers = json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  const auto wrong = [] { return Fail(ErrorCode::kInternal, "a peer's answers cannot be read"); };
  if (!answers.is_array()) return wrong();
  for (const json& one : answers) {
    const bool sound = one.is_array() && one.size() == 3 && one[0].is_number_unsigned() &&
                       one[1].is_string() && one[2].is_boolean();
    if (!sound || one[0].get<std::size_t>() >= samples.size()) return wrong();
    enginelink::EvalSample& sample = samples[one[0].get<std::size_t>()];
    sample.answer = one[1].get<std::string>();
    sample.ended = one[2].get<bool>();
  }
  return {};
}

}  // namespace

Result<std::vector<SampledRow>> SampledRows(const Job& job) {
  std::vector<SampledRow> rows;
  const auto wanted = static_cast<std::size_t>(job.spec.evaluation.samples.value_or(kSamplesUsual));
  if (!job.eval || !job.generates()) return rows;
  for (std::int64_t at = 0; at < job.eval->size() && rows.size() < wanted; ++at) {
    const std::int64_t row = job.eval->RowsOf(at).front();
    const std::span<const std::int32_t> tokens = job.eval->dataset->Tokens(row);
    const Cut cut = CutOf(job.eval->dataset->Weights(row));
    SampledRow sampled{
        .prompt = {tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(cut.prompt)}};
    const bool answered = cut.prompt > 0 && cut.prompt < cut.end;
    if (!answered || RoomAfter(job, sampled) < 1) continue;
    TUTTI_ASSIGN_OR_RETURN(const std::string prompt,
                           TextOf(job.tokenizer, tokens.first(cut.prompt)));
    TUTTI_ASSIGN_OR_RETURN(std::string expected,
                           TextOf(job.tokenizer, tokens.subspan(cut.prompt, cut.end - cut.prompt)));
    sampled.prompt_text = EndOf(prompt);
    sampled.expected = BeginningOf(std::move(expected));
    rows.push_back(std::move(sampled));
  }
  return rows;
}

std::int64_t CacheFloats(const Job& job, std::span<const SampledRow> rows) {
  std::int64_t tokens = 0;
  for (const SampledRow& row : rows) {
    tokens = std::max(tokens, static_cast<std::int64_t>(row.prompt.size()) + RoomAfter(job, row));
  }
  if (tokens == 0) return 0;
  const auto shape = job.model->language()->MakeCache(/*slots=*/1, /*capacity=*/1).shape();
  return shape.layers * shape.width * tokens;
}

Result<std::vector<enginelink::EvalSample>> AnswerRows(Job& job, std::span<const SampledRow> rows,
                                                       const AnswerOptions& options) {
  const std::size_t rank = options.gang != nullptr ? options.gang->rank : 0;
  const std::size_t size = options.gang != nullptr ? options.gang->size : 1;
  std::vector<enginelink::EvalSample> samples;
  for (const SampledRow& row : rows) {
    samples.push_back({.prompt = row.prompt_text, .expected = row.expected});
  }
  json own = json::array();
  for (std::size_t at = rank; at < rows.size(); at += size) {
    TUTTI_ASSIGN_OR_RETURN(const enginelink::EvalSample sample,
                           AnswerRow(job, rows[at], options.on_token));
    own.push_back({at, sample.answer, sample.ended});
  }
  std::vector<std::string> all = {own.dump(-1, ' ', false, json::error_handler_t::replace)};
  if (options.gang != nullptr) {
    TUTTI_ASSIGN_OR_RETURN(all, options.gang->gather(all[0]));
  }
  for (const std::string& bytes : all) TUTTI_RETURN_IF_ERROR(TakeAnswers(bytes, samples));
  return samples;
}

}  // namespace tutti::finetune
