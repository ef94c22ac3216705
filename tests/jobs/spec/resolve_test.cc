#include "jobs/spec/resolve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/jobs/spec/spec_text.h"

namespace tutti::spec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Sizes {
  std::int64_t ranks_min;
  std::int64_t ranks_max;
  std::int64_t shards;
  std::int64_t micro;
  std::int64_t global;
  bool operator==(const Sizes&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Sizes& s) {
  return out << s.ranks_min << ".." << s.ranks_max << " ranks, " << s.shards << " shards, micro "
             << s.micro << ", global " << s.global;
}

struct SizesCase {
  std::string lines;
  Sizes sizes;
};
std::ostream& operator<<(std::ostream& out, const SizesCase& c) { return out << c.lines; }

class Resolved : public testing::TestWithParam<SizesCase> {};

TEST_P(Resolved, SaysItselfHowMuchARankDoes) {
  const JobSpec job = JobOf(Minimal(GetParam().lines));
  const Sizes sizes{job.resources.ranks_min, job.resources.ranks_max, job.training.shards,
                    job.training.micro_batch_size, job.training.global_batch_size};
  EXPECT_EQ(sizes, GetParam().sizes);
}

INSTANTIATE_TEST_SUITE_P(
    Batch, Resolved,
    testing::Values(
        SizesCase{"", {1, 1, 1, 8, 8}}, SizesCase{"resources: {ranks: 4}\n", {4, 4, 4, 8, 32}},
        SizesCase{"resources: {ranks: {min: 2}}\n", {2, 2, 2, 8, 16}},
        SizesCase{"resources: {ranks: {max: 4}}\n", {1, 4, 4, 8, 32}},
        SizesCase{"training: {shards: 8, micro_batch_size: 2}\n", {1, 1, 8, 2, 16}},
        SizesCase{"training: {global_batch_size: 64}\nresources: {ranks: 2}\n", {2, 2, 2, 8, 64}},
        // Transformers' words: per device × accumulation × ranks.
        SizesCase{"training: {per_device_train_batch_size: 16}\n", {1, 1, 1, 16, 16}},
        SizesCase{"training: {per_device_train_batch_size: 4, gradient_accumulation_steps: 2}\n"
                  "resources: {ranks: 4}\n",
                  {4, 4, 4, 4, 32}},
        SizesCase{"training: {gradient_accumulation_steps: 4}\n", {1, 1, 1, 8, 32}},
        SizesCase{"training: {gradient_accumulation_steps: 4, micro_batch_size: 2}\n",
                  {1, 1, 1, 2, 8}},
        // More shards than ranks: a smaller micro-batch, so that the global batch stays.
        SizesCase{"training: {per_device_train_batch_size: 8, shards: 4}\nresources: {ranks: 2}\n",
                  {2, 2, 4, 4, 16}},
        // With a global batch, the missing one of the two follows.
        SizesCase{"training: {global_batch_size: 64, per_device_train_batch_size: 8}\n"
                  "resources: {ranks: 2}\n",
                  {2, 2, 2, 8, 64}},
        SizesCase{"training: {global_batch_size: 64, per_device_train_batch_size: 8, "
                  "gradient_accumulation_steps: 4}\nresources: {ranks: 2}\n",
                  {2, 2, 2, 8, 64}}));

TEST(Resolve, SaysWhatTransformersWordsMean) {
  const auto parsed = ParseSpec(
      Minimal("training: {per_device_train_batch_size: 4, gradient_accumulation_steps: 2}\n"
              "resources: {ranks: {min: 1, max: 4}}\n"));
  ASSERT_TRUE(parsed);
  EXPECT_THAT(parsed->notes,
              ElementsAre("global_batch_size is 32 = per_device_train_batch_size 4 × "
                          "gradient_accumulation_steps 2 × 4 ranks; it stays so with fewer ranks"));
}

TEST(Resolve, BestModelGoesByLossUnlessToldOtherwise) {
  const JobSpec plain = JobOf(Minimal());
  EXPECT_EQ(plain.training.metric_for_best_model, std::nullopt);
  EXPECT_EQ(plain.training.greater_is_better, std::nullopt);
  const JobSpec loss = JobOf(Training("load_best_model_at_end: true"));
  EXPECT_EQ(loss.training.metric_for_best_model, "loss");
  EXPECT_EQ(loss.training.greater_is_better, false);
  const JobSpec stopping = JobOf(Training("early_stopping_patience: 2"));
  EXPECT_EQ(stopping.training.metric_for_best_model, "loss");
  const JobSpec f1 =
      JobOf(Training("load_best_model_at_end: true, metric_for_best_model: macro_f1"));
  EXPECT_EQ(f1.training.greater_is_better, true);
  const JobSpec told = JobOf(Training("metric_for_best_model: loss, greater_is_better: true"));
  EXPECT_EQ(told.training.greater_is_better, true);
}

TEST(Resolve, NotesWhatWins) {
  EXPECT_THAT(ParseSpec(Training("warmup_steps: 5, warmup_ratio: 0.1"))->notes,
              ElementsAre("warmup_steps 5 wins over warmup_ratio 0.1"));
  EXPECT_THAT(ParseSpec(Training("save_total_limit: 1"))->notes,
              ElementsAre(HasSubstr("two checkpoints are kept")));
  EXPECT_THAT(ParseSpec(Training("warmup_steps: 5, save_total_limit: 2"))->notes, IsEmpty());
}

TEST(PowerOfTwoFrom, IsTheSmallestThatIsEnough) {
  EXPECT_EQ(PowerOfTwoFrom(1), 1);
  EXPECT_EQ(PowerOfTwoFrom(2), 2);
  EXPECT_EQ(PowerOfTwoFrom(3), 4);
  EXPECT_EQ(PowerOfTwoFrom(4096), 4096);
  EXPECT_EQ(PowerOfTwoFrom((std::int64_t{1} << 61) + 1), std::int64_t{1} << 62);
}

}  // namespace
}  // namespace tutti::spec
