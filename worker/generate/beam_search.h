// One prompt's beam search, as Transformers 5 does it (generation/utils.py, _beam_search). It knows
// no model: scores go in, what to continue comes out. A value; one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "worker/generate/options.h"

namespace tutti::generate {

// An answer: the tokens behind the prompt, an end token included.
struct Answer {
  std::vector<std::int64_t> tokens{};
  bool ended = false;  // by an end token
  double score = 0;    // of a beam search: Σ log p / length ^ length_penalty
};

class BeamSearch {
 public:
  // Borrows the options. `prompt` is not empty.
  BeamSearch(const Options& options, std::vector<std::int64_t> prompt);

  // `logits` [num_beams, V] of what follows each running beam; changed in place. False once the
  // search is over.
  bool Step(std::span<float> logits);
  // After a Step: which beam each running one continues, and with what token.
  const std::vector<std::int64_t>& sources() const { return sources_; }
  std::int64_t TokenOf(std::int64_t beam) const;

  // The best answers, best first: at most num_return_sequences.
  std::vector<Answer> Best() const;

 private:
  struct Beam {
    std::vector<std::int64_t> ids{};  // prompt and answer
    double score = 0;
  };
  struct Candidate {
    std::size_t beam = 0;
    std::int64_t token = 0;
    double score = 0;
    bool stops = false;
  };
  std::vector<Candidate> Candidates(std::span<float> logits) const;
  void Finish(const std::vector<Candidate>& candidates);
  void Run(const std::vector<Candidate>& candidates);
  bool CanImprove() const;
  bool IsFull() const { return finished_.size() == static_cast<std::size_t>(options_.num_beams); }

  const Options& options_;
  std::size_t prompt_size_;
  std::int64_t generated_ = 0;
  bool can_improve_ = true;
  std::vector<Beam> running_;
  std::vector<Answer> finished_;  // best first
  std::vector<std::int64_t> sources_;
};

}  // namespace tutti::generate
