#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/file/file.h"
#include "tests/worker/checkpoint/state.h"
#include "worker/checkpoint/checkpoint.h"

namespace tutti::checkpoint {
namespace {

using testing::HasSubstr;

class ReadTest : public CheckpointTest {
 protected:
  std::string Problem(const Status& status) {
    if (status.has_value()) return "";
    EXPECT_EQ(status.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(status.error().where, HasSubstr("step-"));
    return status.error().message;
  }
};

TEST_F(ReadTest, GivesBackWhatWasWritten) {
  const State written;
  ASSERT_TRUE(Write(folder_, written.content).has_value());
  State state;
  state.Fill(-1);
  const Status status = Read(Newest(), state.target());
  ASSERT_TRUE(status.has_value()) << status.error().ToString();
  EXPECT_TRUE(state.HasTensorsOf(written));
  EXPECT_EQ(state.parameters[900], -1);  // gaps are left alone
  EXPECT_TRUE(Verify(Newest()).has_value());
}

TEST_F(ReadTest, CanLeaveTheMomentsOut) {
  const State written;
  ASSERT_TRUE(Write(folder_, written.content).has_value());
  State state;
  state.Fill(-1);
  const Target target{.tensors = state.tensors,
                      .parameters = state.parameters,
                      .first_moments = {},
                      .second_moments = {}};
  ASSERT_TRUE(Read(Newest(), target).has_value());
  EXPECT_EQ(state.parameters[1024], written.parameters[1024]);
  EXPECT_EQ(state.first[1024], -1);
}

TEST_F(ReadTest, AnyChangedByteIsFound) {
  const State written;
  const auto committed = Write(folder_, written.content);
  ASSERT_TRUE(committed.has_value());
  const std::string good = ReadFile(committed->path).value();
  const Found found = Newest();
  for (std::size_t at = 0; at < good.size(); at += good.size() / 37) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    ASSERT_TRUE(WriteFileAtomically(committed->path, bad, {.durable = false}).has_value());
    EXPECT_THAT(Problem(Verify(found)), HasSubstr("bytes are not those")) << at;
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, good.size() - 1}) {
    ASSERT_TRUE(WriteFileAtomically(committed->path, std::string_view(good).substr(0, size),
                                    {.durable = false})
                    .has_value());
    EXPECT_THAT(Problem(Verify(found)), HasSubstr("its manifest says"));
  }
  fs::remove(committed->path);
  EXPECT_EQ(Verify(found).error().code, ErrorCode::kNotFound);
}

TEST_F(ReadTest, SwappedFilesAreFound) {
  const State first(100);
  const State second(200);
  ASSERT_TRUE(Write(folder_, first.content).has_value());
  ASSERT_TRUE(Write(folder_, second.content).has_value());
  const auto found = List(folder_).value();
  ASSERT_EQ(found.size(), 2U);
  ASSERT_EQ(found[0].size, found[1].size);
  fs::rename(found[0].path, folder_ / "other");
  fs::rename(found[1].path, found[0].path);
  fs::rename(folder_ / "other", found[1].path);
  for (const Found& one : found) EXPECT_NE(Problem(Verify(one)), "");
}

// A manifest that was rewritten to fit a file of another step, attempt, spec or state.
TEST_F(ReadTest, FileAndManifestMustAgreeInWhatTheySay) {
  const State state;
  ASSERT_TRUE(Write(folder_, state.content).has_value());
  const Found good = Newest();
  const auto problem = [&](auto change) {
    Found found = good;
    change(found);
    return Problem(Verify(found));
  };
  EXPECT_EQ(problem([](Found&) {}), "");
  EXPECT_THAT(problem([](Found& f) { f.attempt = 2; }), HasSubstr("attempt differs"));
  EXPECT_THAT(problem([](Found& f) { f.cursor.step = 199; }), HasSubstr("step differs"));
  EXPECT_THAT(problem([](Found& f) { f.cursor.best_metric = 1; }), HasSubstr("best_metric"));
  EXPECT_THAT(problem([](Found& f) { f.metrics.erase("loss"); }), HasSubstr("metrics differs"));
  EXPECT_THAT(problem([](Found& f) { f.spec_digest = "other"; }), HasSubstr("spec_digest differs"));
  EXPECT_THAT(problem([](Found& f) { f.state_digest = f.file_sha256; }), HasSubstr("the state is"));
}

TEST_F(ReadTest, RefusesAnotherSpec) {
  State state;
  ASSERT_TRUE(Write(folder_, state.content).has_value());
  Target target = state.target();
  target.spec_digest = state.content.spec_digest;
  EXPECT_EQ(Problem(Read(Newest(), target)), "");
  target.spec_digest = "sha256:" + std::string(64, 'b');
  EXPECT_THAT(Problem(Read(Newest(), target)), HasSubstr("of another spec"));
}

TEST_F(ReadTest, RefusesAnotherModelsTensors) {
  const State written;
  ASSERT_TRUE(Write(folder_, written.content).has_value());
  const auto problem = [&](auto change) {
    State state;
    change(state.tensors);
    return Problem(Read(Newest(), state.target()));
  };
  EXPECT_EQ(problem([](auto&) {}), "");
  EXPECT_EQ(problem([](auto& t) { std::ranges::reverse(t); }), "");
  EXPECT_THAT(problem([](auto& t) {
                t[0].shape = {100, 8};
              }),
              HasSubstr("z.weight has shape [8, 100], the model's is [100, 8]"));
  EXPECT_THAT(problem([](auto& t) { t[1].name = "a.weight"; }), HasSubstr("a.bias is not of this"));
  EXPECT_THAT(problem([](auto& t) { t.pop_back(); }), HasSubstr("big is not of this model"));
  EXPECT_THAT(problem([](auto& t) {
                t.push_back({.name = "zz", .shape = {1}, .offset = 850, .count = 1});
              }),
              HasSubstr("no tensor zz in /params"));
  EXPECT_THAT(problem([](auto& t) {
                t.push_back({.name = "aa", .shape = {1}, .offset = 850, .count = 1});
              }),
              HasSubstr("no tensor aa in /params"));
}

}  // namespace
}  // namespace tutti::checkpoint
