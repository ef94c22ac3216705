#include "worker/generate/generate.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "worker/generate/processors.h"
#include "worker/model/random.h"

namespace tutti::generate {
namespace {

using model::Continuation;
using model::KeyValueCache;

std::int64_t CapacityFor(std::span<const Prompt> prompts, const Options& options) {
  std::size_t longest = 0;
  for (const Prompt& prompt : prompts) longest = std::max(longest, prompt.size());
  return static_cast<std::int64_t>(longest) + options.max_new_tokens;
}

// In [0, 1): of an answer's token.
double Uniform(std::uint64_t seed, std::size_t answer, std::size_t token) {
  const std::uint64_t bits = model::HashSeed(model::HashSeed(seed, answer), token);
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

std::span<float> RowOf(at::Tensor& logits, std::size_t row) {
  const auto V = static_cast<std::size_t>(logits.size(1));
  return {logits.data_ptr<float>() + row * V, V};
}

Result<std::vector<Answer>> OneByOne(model::LanguageModel& model, std::span<const Prompt> prompts,
                                     const Options& options, const OnToken& on_token) {
  const auto copies = static_cast<std::size_t>(options.num_return_sequences);
  const std::size_t count = prompts.size() * copies;
  KeyValueCache cache =
      model.MakeCache(static_cast<std::int64_t>(count), CapacityFor(prompts, options));
  std::vector<Answer> answers(count);
  std::vector<Prompt> ids;
  std::vector<Continuation> next;
  for (std::size_t i = 0; i < count; ++i) {
    ids.push_back(prompts[i / copies]);
    next.push_back({.slot = static_cast<std::int64_t>(i), .tokens = ids.back()});
  }
  for (std::int64_t step = 0; step < options.max_new_tokens && !next.empty(); ++step) {
    TUTTI_ASSIGN_OR_RETURN(at::Tensor logits, model.Extend(next, cache));
    std::vector<Continuation> rest;
    for (std::size_t row = 0; row < next.size(); ++row) {
      const auto at = static_cast<std::size_t>(next[row].slot);
      const std::span<float> scores = RowOf(logits, row);
      ApplyProcessors(options, ids[at], step, scores);
      const std::int64_t token =
          options.do_sample
              ? Draw(options, scores, Uniform(options.seed, at, static_cast<std::size_t>(step)))
              : Largest(scores);
      ids[at].push_back(token);
      answers[at].tokens.push_back(token);
      bool goes_on = true;
      if (on_token) {
        TUTTI_ASSIGN_OR_RETURN(goes_on, on_token(at, token));
      }
      if (!goes_on || std::ranges::find(options.end_tokens, token) != options.end_tokens.end()) {
        answers[at].ended = true;
      } else {
        rest.push_back({.slot = next[row].slot, .tokens = {token}});
      }
    }
    next = std::move(rest);
  }
  return answers;
}

// Every prompt's search and where its beams lie in the cache: slots [index · beams, …).
class Searches {
 public:
  Searches(model::LanguageModel& model, std::span<const Prompt> prompts, const Options& options)
      : model_(model),
        prompts_(prompts),
        beams_(static_cast<std::size_t>(options.num_beams)),
        cache_(model.MakeCache(static_cast<std::int64_t>(prompts.size() * beams_),
                               CapacityFor(prompts, options))) {
    for (const Prompt& prompt : prompts) searches_.emplace_back(options, prompt);
  }

  Result<std::vector<Answer>> Run() {
    TUTTI_RETURN_IF_ERROR(ReadPrompts());
    while (!live_.empty()) TUTTI_RETURN_IF_ERROR(Step());
    std::vector<Answer> answers;
    for (const BeamSearch& search : searches_) {
      for (Answer& answer : search.Best()) answers.push_back(std::move(answer));
    }
    return answers;
  }

 private:
  std::int64_t SlotOf(std::size_t search, std::size_t beam) const {
    return static_cast<std::int64_t>(search * beams_ + beam);
  }

  // Each prompt is read once; its beams start as copies.
  Status ReadPrompts() {
    std::vector<Continuation> next;
    std::vector<std::int64_t> sources;
    for (std::size_t i = 0; i < prompts_.size(); ++i) {
      next.push_back({.slot = SlotOf(i, 0), .tokens = prompts_[i]});
      sources.insert(sources.end(), beams_, SlotOf(i, 0));
      live_.push_back(i);
    }
    TUTTI_ASSIGN_OR_RETURN(at::Tensor logits, model_.Extend(next, cache_));
    cache_.Reorder(sources);
    std::vector<std::vector<float>> rows;
    for (std::size_t i = 0; i < prompts_.size(); ++i) {
      const std::span<float> row = RowOf(logits, i);
      rows.emplace_back();
      for (std::size_t beam = 0; beam < beams_; ++beam) {
        rows.back().insert(rows.back().end(), row.begin(), row.end());
      }
    }
    Advance([&rows](std::size_t at) { return std::span(rows[at]); });
    return {};
  }

  Status Step() {
    std::vector<Continuation> next;
    for (const std::size_t search : live_) {
      for (std::size_t beam = 0; beam < beams_; ++beam) {
        next.push_back({.slot = SlotOf(search, beam),
                        .tokens = {searches_[search].TokenOf(static_cast<std::int64_t>(beam))}});
      }
    }
    TUTTI_ASSIGN_OR_RETURN(at::Tensor logits, model_.Extend(next, cache_));
    const std::size_t size = beams_ * static_cast<std::size_t>(logits.size(1));
    Advance([&](std::size_t at) { return std::span(logits.data_ptr<float>() + at * size, size); });
    return {};
  }

  // Gives every live search its logits; the cache follows those that go on.
  template <typename LogitsOf>
  void Advance(LogitsOf logits_of) {
    std::vector<std::int64_t> sources(searches_.size() * beams_);
    std::iota(sources.begin(), sources.end(), std::int64_t{0});
    std::vector<std::size_t> rest;
    for (std::size_t at = 0; at < live_.size(); ++at) {
      const std::size_t search = live_[at];
      if (!searches_[search].Step(logits_of(at))) continue;
      rest.push_back(search);
      for (std::size_t beam = 0; beam < beams_; ++beam) {
        const auto from = static_cast<std::size_t>(searches_[search].sources()[beam]);
        sources[search * beams_ + beam] = SlotOf(search, from);
      }
    }
    live_ = std::move(rest);
    cache_.Reorder(sources);
  }

  model::LanguageModel& model_;
  std::span<const Prompt> prompts_;
  std::size_t beams_;
  KeyValueCache cache_;
  std::vector<BeamSearch> searches_;
  std::vector<std::size_t> live_;
};

}  // namespace

Status Check(const Options& options) {
  const auto wrong = [](const char* name, const char* what) {
    return Fail(ErrorCode::kInvalid, std::string(name) + " " + what);
  };
  if (options.max_new_tokens < 1) return wrong("max_new_tokens", "is below 1");
  if (options.num_beams < 1) return wrong("num_beams", "is below 1");
  if (options.num_return_sequences < 1) return wrong("num_return_sequences", "is below 1");
  if (!(options.temperature > 0)) return wrong("temperature", "is not above 0");
  if (!(options.top_p > 0 && options.top_p <= 1)) return wrong("top_p", "is not in (0, 1]");
  if (options.top_k < 0) return wrong("top_k", "is below 0");
  if (!(options.repetition_penalty > 0)) return wrong("repetition_penalty", "is not above 0");
  if (options.num_beams > 1 && options.do_sample) {
    return Fail(ErrorCode::kUnsupported, "sampling in a beam search is not supported yet",
                "num_beams", "leave one of do_sample and num_beams out");
  }
  if (options.num_beams > 1 && options.num_return_sequences > options.num_beams) {
    return wrong("num_return_sequences", "is above num_beams");
  }
  return {};
}

Result<std::vector<Answer>> Generate(model::LanguageModel& model, std::span<const Prompt> prompts,
                                     const Options& options, const OnToken& on_token) {
  TUTTI_RETURN_IF_ERROR(Check(options));
  for (const Prompt& prompt : prompts) {
    if (prompt.empty()) {
      return Fail(ErrorCode::kInvalid, "a prompt has no token", {}, "give it some text");
    }
  }
  if (prompts.empty()) return std::vector<Answer>{};
  if (options.num_beams > 1) return Searches(model, prompts, options).Run();
  return OneByOne(model, prompts, options, on_token);
}

}  // namespace tutti::generate
