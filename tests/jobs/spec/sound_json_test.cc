#include "jobs/spec/sound_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/jobs/spec/spec_text.h"

namespace tutti::spec {
namespace {

std::optional<JobSpec> JobOfSound(std::string_view text) {
  const auto root = ReadSoundJson(text);
  return root ? FromSoundTree(*root) : std::nullopt;
}

std::string Nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

std::string Zeros(std::size_t count) {
  std::string text = "[0";
  for (std::size_t i = 1; i < count; ++i) text += ",0";
  return text + "]";
}

TEST(SoundJson, IsReadAsFromJsonReadsIt) {
  const std::vector<JobSpec> jobs = {
      JobOf(Minimal()),
      JobOf(Minimal("metadata: {ü: \"a\\\"b\\n\", b: \"\"}\nwebhooks: [{url: http://a/, on: "
                    "[failed]}]\nschedule: {max_duration: 90s, labels: {disk: ssd}}\n")),
      JobOf(Training("learning_rate: 1.0e-7, lr_scheduler_type: warmup_stable_decay, "
                     "lr_scheduler_kwargs: {num_decay_steps: 6, decay_type: linear}")),
      JobOf("name: a\ntask: text-generation\nmodel: m\ndata: {train: t, eval: 0.1}\n"
            "method: {dpo: {lora: {target_modules: [q, v]}}}\n"),
  };
  for (const JobSpec& job : jobs) {
    const std::string text = ToJsonText(job);
    EXPECT_EQ(JobOfSound(text), job) << text;
    EXPECT_EQ(JobOfSound(nlohmann::json::parse(text).dump(2)), job) << text;
  }
}

TEST(SoundJson, TheOrderOfKeysIsNoDifference) {
  const auto job = JobOfSound(R"({"resources": {"ranks": {"max": 2, "min": 1}}, "model": "./m",
      "method": {"dpo": {"beta": 0.5}}, "data": {"train": "t.jsonl"}, "name": "a",
      "task": "text-generation"})");
  ASSERT_TRUE(job);
  EXPECT_EQ(job, JobOf("name: a\ntask: text-generation\nmodel: ./m\ndata: {train: t.jsonl}\n"
                       "method: {dpo: {beta: 0.5}}\nresources: {ranks: {min: 1, max: 2}}\n"));
}

TEST(SoundJson, WholeNumbersAreWholeUpTo63Bits) {
  const auto root = ReadSoundJson("[-1, 9223372036854775807, 9223372036854775808, 1.0]");
  ASSERT_TRUE(root);
  const List& list = *root->AsList();
  EXPECT_EQ(std::get<std::int64_t>(list[0].value), -1);
  EXPECT_EQ(std::get<std::int64_t>(list[1].value), INT64_MAX);
  EXPECT_EQ(std::get<double>(list[2].value), 0x1p63);
  EXPECT_EQ(std::get<double>(list[3].value), 1);
}

TEST(SoundJson, WhatIsWrongIsNotRead) {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("{} {}"), std::string("[1e400]"),
        std::string(R"({"a": 1, "b": 2, "a": 3})"), std::string("[\"\xff\"]"),
        Nested(kDepthMax + 1), Zeros(kNodesMax), std::string(kTextBytesMax, ' ') + "{}"}) {
    EXPECT_FALSE(ReadSoundJson(text)) << text.substr(0, 60);
  }
  EXPECT_TRUE(ReadSoundJson(Nested(kDepthMax)));
  EXPECT_TRUE(ReadSoundJson(Zeros(kNodesMax - 1)));
}

TEST(SoundJson, AWrongSpecIsNoJob) {
  const std::string good = ToJsonText(JobOf(Minimal()));
  nlohmann::json wrong = nlohmann::json::parse(good);
  wrong["training"]["shards"] = 3;
  EXPECT_TRUE(JobOfSound(good));
  EXPECT_FALSE(JobOfSound(wrong.dump()));
  EXPECT_FALSE(JobOfSound("[]"));
}

}  // namespace
}  // namespace tutti::spec
