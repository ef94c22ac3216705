#include "worker/generate/beam_search.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "worker/generate/processors.h"

namespace tutti::generate {
namespace {

constexpr double kWorst = -1e9;

}  // namespace

BeamSearch::BeamSearch(const Options& options, std::vector<std::int64_t> prompt)
    : options_(options), prompt_size_(prompt.size()) {
  for (std::int64_t beam = 0; beam < options.num_beams; ++beam) {
    running_.push_back({.ids = prompt, .score = beam == 0 ? 0 : kWorst});
  }
}

std::int64_t BeamSearch::TokenOf(std::int64_t beam) const {
  return running_[static_cast<std::size_t>(beam)].ids.back();
}

// The best of all beams' continuations, best first.
std::vector<BeamSearch::Candidate> BeamSearch::Candidates(std::span<float> logits) const {
  const std::size_t V = logits.size() / running_.size();
  for (std::size_t beam = 0; beam < running_.size(); ++beam) {
    const auto row = logits.subspan(beam * V, V);
    LogSoftmax(row);
    ApplyProcessors(options_, running_[beam].ids, generated_, row);
    for (float& score : row) score += static_cast<float>(running_[beam].score);
  }
  const std::size_t wanted =
      std::max<std::size_t>(2, 1 + options_.end_tokens.size()) * running_.size();
  std::vector<std::size_t> order(logits.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto middle = order.begin() + static_cast<std::ptrdiff_t>(std::min(wanted, order.size()));
  std::partial_sort(order.begin(), middle, order.end(), [&](std::size_t a, std::size_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
  const bool last = generated_ + 1 >= options_.max_new_tokens;
  std::vector<Candidate> candidates;
  for (auto at = order.begin(); at != middle; ++at) {
    const auto token = static_cast<std::int64_t>(*at % V);
    const bool ends = std::ranges::find(options_.end_tokens, token) != options_.end_tokens.end();
    candidates.push_back({.beam = *at / V,
                          .token = token,
                          .score = static_cast<double>(logits[*at]),
                          .stops = ends || last});
  }
  return candidates;
}

// What stops among the first num_beams joins the finished ones.
void BeamSearch::Finish(const std::vector<Candidate>& candidates) {
  const bool closed = !can_improve_ || (IsFull() && options_.early_stopping == EarlyStopping::kYes);
  const auto length = static_cast<double>(generated_ + 1);
  const std::size_t first = std::min(candidates.size(), running_.size());
  for (std::size_t i = 0; i < first && !closed; ++i) {
    const Candidate& one = candidates[i];
    if (!one.stops) continue;
    const std::vector<std::int64_t>& ids = running_[one.beam].ids;
    Answer answer{.tokens = {ids.begin() + static_cast<std::ptrdiff_t>(prompt_size_), ids.end()},
                  .score = one.score / std::pow(length, options_.length_penalty)};
    answer.tokens.push_back(one.token);
    answer.ended = std::ranges::find(options_.end_tokens, one.token) != options_.end_tokens.end();
    finished_.push_back(std::move(answer));
  }
  std::ranges::stable_sort(finished_, std::ranges::greater{}, &Answer::score);
  if (finished_.size() > running_.size()) finished_.resize(running_.size());
}

// The best that did not stop run on; where there are too few, stopped ones fill up without a
// chance.
void BeamSearch::Run(const std::vector<Candidate>& candidates) {
  std::vector<Candidate> order = candidates;
  std::ranges::stable_partition(order, [](const Candidate& one) { return !one.stops; });
  std::vector<Beam> next;
  sources_.clear();
  for (std::size_t i = 0; i < running_.size(); ++i) {
    const Candidate& one = order[std::min(i, order.size() - 1)];
    Beam beam{.ids = running_[one.beam].ids, .score = one.score + (one.stops ? kWorst : 0)};
    beam.ids.push_back(one.token);
    next.push_back(std::move(beam));
    sources_.push_back(static_cast<std::int64_t>(one.beam));
  }
  running_ = std::move(next);
}

bool BeamSearch::CanImprove() const {
  if (!can_improve_) return false;
  if (!IsFull()) return true;
  const bool never = options_.early_stopping == EarlyStopping::kNever;
  const auto length = static_cast<double>(
      never && options_.length_penalty > 0 ? options_.max_new_tokens : generated_);
  return running_.front().score / std::pow(length, options_.length_penalty) >
         finished_.back().score;
}

bool BeamSearch::Step(std::span<float> logits) {
  const std::vector<Candidate> candidates = Candidates(logits);
  Finish(candidates);
  Run(candidates);
  ++generated_;
  can_improve_ = CanImprove();
  const bool open = !(IsFull() && options_.early_stopping == EarlyStopping::kYes);
  const bool goes_on = std::ranges::any_of(candidates, [](const Candidate& c) { return !c.stops; });
  return can_improve_ && open && goes_on;
}

std::vector<Answer> BeamSearch::Best() const {
  std::vector<Answer> best = finished_;
  const auto count = static_cast<std::size_t>(options_.num_return_sequences);
  if (best.size() > count) best.resize(count);
  return best;
}

}  // namespace tutti::generate
