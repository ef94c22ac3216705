#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/file/file.h"
#include "tests/worker/checkpoint/state.h"
#include "worker/checkpoint/checkpoint.h"

namespace tutti::checkpoint {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

class CollectTest : public CheckpointTest {
 protected:
  void Put(std::int64_t step, std::uint32_t attempt = 1) {
    const State state(step, attempt);
    ASSERT_TRUE(Write(folder_, state.content).has_value());
  }
  std::vector<std::pair<std::int64_t, std::uint32_t>> Listed() {
    const auto list = List(folder_);
    EXPECT_TRUE(list.has_value());
    std::vector<std::pair<std::int64_t, std::uint32_t>> all;
    for (const Found& found : *list) all.emplace_back(found.step, found.attempt);
    return all;
  }
};

TEST_F(CollectTest, ListsNewestFirst) {
  EXPECT_THAT(Listed(), IsEmpty());
  Put(200);
  Put(1'000'000'000);
  Put(200, 12);
  Put(30, 2);
  EXPECT_THAT(Listed(),
              ElementsAre(Pair(1'000'000'000, 1), Pair(200, 12), Pair(200, 1), Pair(30, 2)));
}

TEST_F(CollectTest, LeavesOutManifestsThatDoNotRead) {
  Put(10);
  Put(20);
  const fs::path manifest = folder_ / "step-00000020.a1.json";
  const std::string good = ReadFile(manifest).value();
  const auto put = [&](const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(manifest, text, {.durable = false}).has_value());
  };
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    EXPECT_NE(text.find(from), std::string::npos) << from;
    return text.replace(text.find(from), from.size(), to);
  };
  for (const std::string& bad :
       {std::string(), std::string("{"), std::string("[]"), std::string(100'000, '['),
        good.substr(0, good.size() / 2), replaced("\"step\": 20", "\"step\": 21"),
        replaced("\"format_version\": 1", "\"format_version\": 2"),
        replaced("\"attempt\": 1", "\"attempt\": 2"), replaced("sha256:", "sha512:"),
        replaced("\"epoch\": 1", "\"epoch\": 1.5"), replaced("\"epoch\": 1", "\"epoch\": 1e99"),
        replaced("\"epoch\": 1", "\"epoch\": 18446744073709551615"),
        replaced("\"loss\": 1.25", "\"loss\": null"),
        replaced("step-00000020.a1.h5", "../step-00000020.a1.h5"),
        replaced("\"size_bytes\"", "\"size\"")}) {
    put(bad);
    EXPECT_THAT(Listed(), ElementsAre(Pair(10, 1))) << bad.substr(0, 100);
  }
  put(good);
  EXPECT_THAT(Listed(), ElementsAre(Pair(20, 1), Pair(10, 1)));
  for (const char* name : {"step-20.a1.json", "step-00000020.a01.json", "step-0000000x.a1.json",
                           "step-00000020.json", "step-00000020.a1.json~", "xstep-00000020.a1.json",
                           "step--0000020.a1.json", "step-99999999999999999999.a1.json"}) {
    ASSERT_TRUE(WriteFileAtomically(folder_ / name, good, {.durable = false}).has_value());
  }
  fs::remove(folder_ / "step-00000010.a1.h5");
  EXPECT_THAT(Listed(), ElementsAre(Pair(20, 1)));
}

TEST_F(CollectTest, KeepsTheNewestAndTheBest) {
  for (const std::int64_t step : {10, 20, 30, 40, 50}) Put(step);
  ASSERT_TRUE(Collect(folder_, 3, 20, 1).has_value());
  EXPECT_THAT(Listed(), ElementsAre(Pair(50, 1), Pair(40, 1), Pair(30, 1), Pair(20, 1)));
  EXPECT_EQ(Names().size(), 8U);
  ASSERT_TRUE(Collect(folder_, 0, -1, 1).has_value());
  EXPECT_THAT(Listed(), ElementsAre(Pair(50, 1), Pair(40, 1)));
  EXPECT_EQ(Names().size(), 4U);
  EXPECT_TRUE(Collect(folder_ / "none", 2, -1, 1).has_value());
}

TEST_F(CollectTest, ADryRunSaysWhatWouldGoAndRemovesNothing) {
  for (const std::int64_t step : {10, 20, 30}) Put(step);
  ASSERT_TRUE(WriteFileAtomically(folder_ / "step-00000020.a0.h5.tmp-1", "123", {}).has_value());
  const auto before = Names();
  const auto would = Prune(folder_, {.keep = 1, .keep_steps = {10}, .attempt = 1, .dry_run = true});
  ASSERT_TRUE(would) << would.error().ToString();
  EXPECT_EQ(Names(), before);
  ASSERT_EQ(would->removed.size(), 1U);
  EXPECT_EQ(would->removed[0].step, 20);
  EXPECT_EQ(would->kept.size(), 2U);
  EXPECT_THAT(would->leftovers, ElementsAre(folder_ / "step-00000020.a0.h5.tmp-1"));

  const auto size = [&] {
    std::int64_t bytes = 0;
    for (const std::string& name : Names()) {
      bytes += static_cast<std::int64_t>(fs::file_size(folder_ / name));
    }
    return bytes;
  };
  const std::int64_t full = size();
  const auto did = Prune(folder_, {.keep = 1, .keep_steps = {10}, .attempt = 1});
  ASSERT_TRUE(did);
  EXPECT_EQ(did->freed, would->freed);
  EXPECT_EQ(full - size(), did->freed.count);
  EXPECT_THAT(Listed(), ElementsAre(Pair(30, 1), Pair(10, 1)));
}

TEST_F(CollectTest, ManifestsThatAreWrongAreListedWithWhatIsWrong) {
  for (const std::int64_t step : {10, 20, 30}) Put(step);
  fs::remove(folder_ / "step-00000020.a1.h5");
  ASSERT_TRUE(WriteFileAtomically(folder_ / "step-00000010.a1.json", "{", {}).has_value());
  const auto all = ListManifests(folder_);
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 3U);
  EXPECT_TRUE((*all)[0].found);
  EXPECT_EQ((*all)[1].step, 20);
  EXPECT_EQ((*all)[1].found.error().code, ErrorCode::kNotFound);
  EXPECT_EQ((*all)[2].found.error().code, ErrorCode::kInvalid);
}

TEST_F(CollectTest, RemovesWhatOlderAttemptsLeft) {
  Put(10, 3);
  const auto kept = Names();
  const std::vector<std::string> left = {
      "step-00000020.a2.h5.tmp-123", "step-00000020.a2.h5", "step-00000010.a1.json.tmp-9-0",
      "step-00000020.a3.h5.tmp-123", "step-00000020.a3.h5", "notes.txt",
      "step-00000020.a2.txt"};
  for (const std::string& name : left) {
    ASSERT_TRUE(WriteFileAtomically(folder_ / name, "x", {.durable = false}).has_value());
  }
  ASSERT_TRUE(Collect(folder_, 2, -1, 3).has_value());
  EXPECT_THAT(Names(), ElementsAre("notes.txt", kept[0], kept[1], "step-00000020.a2.txt",
                                   "step-00000020.a3.h5", "step-00000020.a3.h5.tmp-123"));
}

}  // namespace
}  // namespace tutti::checkpoint
