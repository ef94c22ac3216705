// Events of TensorBoard's event files: tensorboard/compat/proto/event.proto and summary.proto, as
// far as scalars and text need them, in Protobuf's encoding. Values and pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/time.h"

namespace tutti::tensorboard {

// Values that were told together.
struct Scalars {
  WallTime at = {};
  std::int64_t step = 0;
  std::vector<std::pair<std::string, double>> values = {};  // tag -> value; kept as float32
};

// What every event file begins with.
std::string VersionEvent(WallTime at);
std::string ScalarsEvent(const Scalars& scalars);
// Markdown under that tag, at step 0.
std::string TextEvent(WallTime at, std::string_view tag, std::string_view markdown);

// The step of an event and the tag of its first value. nullopt: it has none, or is damaged.
struct Summary {
  std::int64_t step = 0;
  std::string tag = {};
};
std::optional<Summary> SummaryOf(std::string_view event);

// Of a curve's name, the tag that Transformers' Trainer gives it, where it has one:
//   "loss" -> "train/loss"   "eval.accuracy" -> "eval/accuracy"   "phase_seconds.data" ->
//   "perf/phase_seconds/data"   "tokens_per_second" -> "perf/tokens_per_second"
std::string TagOf(std::string_view curve);

}  // namespace tutti::tensorboard
