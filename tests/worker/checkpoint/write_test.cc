#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <limits>
#include <string>

#include "common/digest/sha256.h"
#include "common/file/file.h"
#include "tests/worker/checkpoint/state.h"
#include "worker/checkpoint/checkpoint.h"

namespace tutti::checkpoint {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class WriteTest : public CheckpointTest {};

TEST_F(WriteTest, MakesAFileAndItsManifest) {
  const State state;
  const auto committed = Write(folder_, state.content);
  ASSERT_TRUE(committed.has_value()) << committed.error().ToString();
  EXPECT_THAT(Names(), ElementsAre("step-00000200.a1.h5", "step-00000200.a1.json"));
  EXPECT_EQ(committed->path, folder_ / "step-00000200.a1.h5");
  EXPECT_EQ(committed->step, 200);
  EXPECT_EQ(committed->size.count, static_cast<std::int64_t>(fs::file_size(committed->path)));

  const Found found = Newest();
  EXPECT_EQ(found.state_digest, committed->state_digest);
  EXPECT_EQ(found.file_sha256, Sha256OfFile(committed->path)->ToString());
  EXPECT_EQ(found.size, committed->size);
  EXPECT_EQ(found.spec_digest, state.content.spec_digest);
  EXPECT_EQ(found.metrics, state.content.metrics);
  EXPECT_EQ(found.cursor.best_metric, state.content.cursor.best_metric);
  EXPECT_EQ(found.cursor.rows_total, 1'600);
}

TEST_F(WriteTest, TheSameContentGivesTheSameBytes) {
  const State state;
  ASSERT_TRUE(Write(folder_ / "a", state.content).has_value());
  ASSERT_TRUE(Write(folder_ / "b", state.content).has_value());
  for (const char* name : {"step-00000200.a1.h5", "step-00000200.a1.json"}) {
    EXPECT_EQ(ReadFile(folder_ / "a" / name).value(), ReadFile(folder_ / "b" / name).value());
  }
}

TEST_F(WriteTest, StateDigestDependsOnTheStateAlone) {
  State state;
  const auto digest = [&] { return Write(folder_, state.content)->state_digest; };
  const std::string before = digest();
  state.content.attempt = 7;
  state.content.spec_digest = "sha256:" + std::string(64, 'b');
  state.content.metrics = {};
  EXPECT_EQ(digest(), before);

  State other;  // the same tensors elsewhere in the buffers, in another order
  std::ranges::reverse(other.tensors);
  std::int64_t at = 16;
  for (TensorPlace& tensor : other.tensors) {
    const auto old = std::ranges::find(state.tensors, tensor.name, &TensorPlace::name);
    for (auto [from, to] : {std::pair(&state.parameters, &other.parameters),
                            {&state.first, &other.first},
                            {&state.second, &other.second}}) {
      std::copy_n(from->begin() + old->offset, old->count, to->begin() + at);
    }
    tensor.offset = at;
    at += tensor.count;
  }
  EXPECT_EQ(Write(folder_ / "other", other.content)->state_digest, before);

  state.content.cursor.batch_in_epoch = 13;
  EXPECT_NE(digest(), before);
  state.content.cursor.batch_in_epoch = 12;
  state.second[1024] += 1;
  EXPECT_NE(digest(), before);
}

TEST_F(WriteTest, RefusesNaNAndInfinityAnywhere) {
  for (const float bad : {std::nanf(""), -std::numeric_limits<float>::infinity()}) {
    for (auto buffer : {&State::parameters, &State::first, &State::second}) {
      State state;
      (state.*buffer)[1024 + 70'000] = bad;
      const auto committed = Write(folder_, state.content);
      ASSERT_FALSE(committed.has_value());
      EXPECT_EQ(committed.error().code, ErrorCode::kInvalid);
      EXPECT_THAT(committed.error().message, HasSubstr("big[70000] is "));
      EXPECT_THAT(Names(), IsEmpty());
    }
  }
  State state;
  state.parameters[900] = std::nanf("");  // in a gap: part of no tensor
  EXPECT_TRUE(Write(folder_, state.content).has_value());
  state.content.metrics["loss"] = std::nan("");
  EXPECT_FALSE(Write(folder_, state.content).has_value());
}

TEST_F(WriteTest, RefusesContentThatDoesNotFitTogether) {
  const auto refused = [&](auto change) {
    State state;
    change(state);
    state.content.tensors = state.tensors;
    const auto committed = Write(folder_, state.content);
    return !committed.has_value() && committed.error().code == ErrorCode::kInvalid &&
           Names().empty();
  };
  EXPECT_TRUE(refused([](State& s) { s.tensors[1].name = "z.weight"; }));
  EXPECT_TRUE(refused([](State& s) { s.tensors[1].name = "a/bias"; }));
  EXPECT_TRUE(refused([](State& s) { s.tensors[1].name = ""; }));
  EXPECT_TRUE(refused([](State& s) { s.tensors[1].shape = {8}; }));
  EXPECT_TRUE(refused([](State& s) { s.tensors[1].shape = {-7}; }));
  EXPECT_TRUE(refused([](State& s) { s.tensors[1].offset = 131'066; }));
  EXPECT_TRUE(refused([](State& s) { s.tensors[1].offset = -1; }));
  EXPECT_TRUE(refused([](State& s) { s.content.second_moments = {}; }));
  EXPECT_TRUE(refused([](State& s) { s.content.cursor.step = -1; }));
}

TEST_F(WriteTest, ReplacesACheckpointOfTheSameName) {
  State state;
  ASSERT_TRUE(Write(folder_, state.content).has_value());
  state.parameters[0] = 77;
  ASSERT_TRUE(Write(folder_, state.content).has_value());
  EXPECT_THAT(Names(), ElementsAre("step-00000200.a1.h5", "step-00000200.a1.json"));
  EXPECT_TRUE(Verify(Newest()).has_value());
}

// Writing fails before the data and in it.
TEST_F(WriteTest, AFullDiskLeavesNothingNew) {
  const State before(100);
  ASSERT_TRUE(Write(folder_, before.content).has_value());
  const auto names = Names();
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  for (const rlim_t limit : {0, 100, 50'000, 1'000'000}) {
    rlimit low = old;
    low.rlim_cur = limit;
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
    const State state;
    const auto committed = Write(folder_, state.content);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
    ASSERT_FALSE(committed.has_value());
    EXPECT_THAT(committed.error().code, testing::AnyOf(ErrorCode::kDiskFull, ErrorCode::kIo));
    EXPECT_EQ(Names(), names);
  }
  EXPECT_TRUE(Verify(Newest()).has_value());
  const State state;
  EXPECT_TRUE(Write(folder_, state.content).has_value());
}

TEST_F(WriteTest, AManifestThatCannotBeTakesItsFileAway) {
  ASSERT_TRUE(MakeDirectories(folder_ / "step-00000200.a1.json").has_value());
  const State state;
  EXPECT_FALSE(Write(folder_, state.content).has_value());
  EXPECT_THAT(Names(), ElementsAre("step-00000200.a1.json"));
}

TEST_F(WriteTest, AFolderThatCannotBeIsAnError) {
  ASSERT_TRUE(WriteFileAtomically(folder_, "a file").has_value());
  const State state;
  EXPECT_FALSE(Write(folder_ / "below", state.content).has_value());
}

}  // namespace
}  // namespace tutti::checkpoint
