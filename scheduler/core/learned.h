// What jobs that ended taught of those to come: how much longer steps take than admission predicts,
// and what an attempt costs besides its steps. A part of the ledger that facts alone change.
// Values; no threads.
#pragma once

#include <cstdint>

namespace tutti::core {

// An estimate and the interval it most likely lies in.
struct Guess {
  double value = 0;
  double low = 0;
  double high = 0;
};

// A mean over jobs in which one counts the less the more have ended since, and how far off they
// were on average. What is much further off than usual counts as if it were not quite as far.
struct Average {
  double value = 0;
  double spread = 0;  // mean distance from the value; > 0
  double jobs = 0;    // that it is made of, as far as they are remembered
  bool operator==(const Average&) const = default;
};

struct Learned {
  // ln(time of a step / what admission predicted), with the evaluations and checkpoints between
  // steps. At first nothing but that a factor of three is much.
  Average pace{.value = 0, .spread = 0.5493};
  // Milliseconds from a gang's placement until it is ready for its first step.
  Average launch{.value = 0, .spread = 500};
  // Milliseconds from a job's last step to its success: the last evaluation and checkpoint, the
  // export, the goodbye.
  Average ending{.value = 1000, .spread = 500};
  bool operator==(const Learned&) const = default;
};

// What a job's last attempt took.
struct Taken {
  double prior_ms = 0;  // of its steps, by admission; 0 = not known
  std::uint64_t launch_ms = 0;
  std::uint64_t steps_ms = 0;  // 0 = not known
  std::uint64_t ran_ms = 0;    // all of it
};
void Learn(Learned& learned, const Taken& taken);

// By what the time of a step, as admission predicted it, is multiplied.
Guess PaceOf(const Learned& learned);
Guess LaunchMsOf(const Learned& learned);
Guess EndingMsOf(const Learned& learned);

}  // namespace tutti::core
