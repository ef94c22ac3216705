#include "jobs/spec/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/spec/fields.h"
#include "tests/jobs/spec/spec_text.h"

namespace tutti::spec {
namespace {

using nlohmann::json;
using testing::HasSubstr;

JobSpec Back(const json& resolved) {
  const auto job = FromJson(resolved);
  if (!job) {
    ADD_FAILURE() << resolved.dump(1) << "\n" << Describe(job.error());
    return {};
  }
  return *job;
}

std::string ProblemsOfJson(const json& resolved) {
  const auto job = FromJson(resolved);
  return job ? std::string() : Describe(job.error());
}

InputFile File(std::string path) {
  return {.path = std::move(path), .digest = "sha256:" + std::string(64, 'a'), .size_bytes = 7};
}

// Far from every default.
JobSpec Elaborate() {
  JobSpec job = JobOf(R"(
name: far
task: text-classification
model: org/name@main
data: {train: t.csv.gz, eval: e.tsv, format: text-label, columns: {text: b}, max_length: 64}
training:
  num_train_epochs: 0.3
  max_steps: 123456789012
  global_batch_size: 96
  micro_batch_size: 6
  shards: 8
  learning_rate: 0.1
  lr_scheduler_type: warmup_stable_decay
  lr_scheduler_kwargs: {num_decay_steps: 6, decay_type: 1-sqrt, min_lr_ratio: 0.1}
  warmup_ratio: 0.30000000000000004
  warmup_steps: 3
  weight_decay: 0.01
  adam_beta1: 0.8
  adam_beta2: 0.99
  adam_epsilon: 1.0e-300
  max_grad_norm: 0
  label_smoothing_factor: 0.1
  seed: 9007199254740991
  eval_steps: 5
  save_steps: 6
  save_total_limit: 3
  logging_steps: 1
  metric_for_best_model: accuracy
  greater_is_better: false
  load_best_model_at_end: true
  early_stopping_patience: 4
evaluation: {samples: 0, max_new_tokens: 9}
resources: {ranks: {min: 2, max: 4}, cpus_per_rank: 3, memory_per_rank: 1073741825}
schedule: {queue: q, priority: -7, preemptible: false, max_duration: 1d2h3m4s5ms, reproducible: false}
retry: {max_attempts: 1, on: []}
metadata: {"a.b/c~": "line\nend", "ü": ""}
)");
  job.inputs = {.model = {File("config.json"), File("model.safetensors")},
                .train = File("t.csv.gz"),
                .eval = File("sub/e.tsv")};
  return job;
}

TEST(ToJson, ReadsBackEqual) {
  for (const JobSpec& job : {JobOf(Minimal()), Elaborate(), JobOf(Minimal("retry: {on: []}\n"))}) {
    const json resolved = ToJson(job);
    EXPECT_EQ(Back(resolved), job) << resolved.dump(1);
    EXPECT_EQ(Back(json::parse(resolved.dump())), job);
    EXPECT_EQ(ToJson(Back(resolved)), resolved);
  }
}

// Retries of a submission are known by the digest of this text.
TEST(ToJsonText, IsWhatNlohmannWouldWrite) {
  JobSpec lora = Elaborate();
  lora.method = LoraSpec{.r = 16, .target_modules = {"q", "v"}};
  lora.webhooks = {{.url = "https://a/\"b\"", .on = {"failed", "succeeded"}}};
  lora.data.eval_fraction = 0.1;
  lora.schedule.labels = {{"disk", "ssd"}, {"rack.1", "ü"}};
  JobSpec dpo = JobOf(Minimal());
  dpo.method = DpoSpec{.lora = LoraSpec{}};
  dpo.name = "del\x7f and \x01";
  for (const JobSpec& job : {JobOf(Minimal()), Elaborate(), lora, dpo}) {
    const std::string text = ToJsonText(job);
    EXPECT_EQ(text, json::parse(text).dump());
  }
}

TEST(ToJson, AnEvalFractionIsANumber) {
  const JobSpec job =
      JobOf("name: a\ntask: text-classification\nmodel: m\ndata: {train: t, eval: 0.05}\n");
  EXPECT_EQ(ToJson(job)["data"]["eval"], 0.05);
  EXPECT_EQ(Back(ToJson(job)), job);
}

TEST(ToJson, HasEveryFieldWithItsValue) {
  const json resolved = ToJson(JobOf(Minimal()));
  for (const Field& field : Fields()) {
    if (field.use == Use::kWritten || field.path.starts_with("method.")) continue;
    std::string pointer = "/" + field.path;
    for (char& c : pointer) {
      if (c == '.') c = '/';
    }
    EXPECT_TRUE(resolved.contains(json::json_pointer(pointer))) << field.path;
  }
  EXPECT_EQ(resolved["training"]["global_batch_size"], 8);
  EXPECT_EQ(resolved["training"]["max_steps"], nullptr);
  EXPECT_EQ(resolved["method"], "full");
  EXPECT_EQ(resolved["retry"]["on"], json({"worker_lost", "crash", "hang"}));
}

TEST(ToJson, WritesTheMethodsThatAreNotBuiltYet) {
  JobSpec job = JobOf(Minimal());
  job.method = LoraSpec{.r = 16, .all_linear = true};
  EXPECT_EQ(ToJson(job)["method"]["lora"]["target_modules"], "all-linear");
  EXPECT_EQ(ToJson(job)["method"]["lora"]["r"], 16);
  DpoSpec dpo;
  EXPECT_FALSE(ToJson(JobSpec{.method = dpo})["method"]["dpo"].contains("lora"));
  dpo.lora = LoraSpec{.target_modules = {"q", "v"}};
  EXPECT_EQ(ToJson(JobSpec{.method = dpo})["method"]["dpo"]["lora"]["target_modules"],
            json({"q", "v"}));
}

TEST(FromJson, FieldsThatAreNotThereHaveTheirDefaults) {
  // A journal of an older version knows fewer fields.
  EXPECT_EQ(Back({{"name", "a"},
                  {"task", "text-classification"},
                  {"model", "./m"},
                  {"data", {{"train", "t.jsonl"}, {"eval", "e.jsonl"}}}}),
            JobOf(Minimal()));
}

TEST(FromJson, LocatesProblemsByPointer) {
  json resolved = ToJson(JobOf(Minimal()));
  resolved["training"]["shards"] = 3;
  resolved["training"]["sedd"] = 3;
  resolved["name"] = 5;
  EXPECT_EQ(ProblemsOfJson(resolved),
            "invalid #/name: name must be text, not a whole number '5' (put it in quotes: \"5\")\n"
            "invalid #/training/sedd: unknown field 'sedd' in training (did you mean seed?)\n"
            "invalid #/training/shards: training.shards must be a power of two, not 3 (write 2 or "
            "4)\n");
}

TEST(FromJson, TakesNoFieldsThatStandForOthers) {
  json resolved = ToJson(JobOf(Minimal()));
  resolved["training"]["per_device_train_batch_size"] = 8;
  EXPECT_THAT(ProblemsOfJson(resolved),
              HasSubstr("unknown field 'per_device_train_batch_size' in training"));
}

TEST(FromJson, RefusesWhatIsNotSupportedYet) {
  json resolved = ToJson(JobOf(Minimal()));
  resolved["deploy"]["on_success"] = true;
  EXPECT_EQ(ProblemsOfJson(resolved),
            "unsupported #/deploy/on_success: deploy.on_success is not supported yet "
            "(supported: false)\n");
}

struct BadInputs {
  json inputs;
  std::string problem;
};
std::ostream& operator<<(std::ostream& out, const BadInputs& c) { return out << c.inputs; }

class InputsRule : public testing::TestWithParam<BadInputs> {};

TEST_P(InputsRule, IsKept) {
  json resolved = ToJson(JobOf(Minimal()));
  resolved["inputs"] = GetParam().inputs;
  EXPECT_EQ(ProblemsOfJson(resolved), "invalid " + GetParam().problem + "\n");
}

json FileJson(std::string_view path) {
  return {{"path", path}, {"digest", "sha256:" + std::string(64, '0')}, {"size_bytes", 1}};
}
json Trained(std::string_view path) { return {{"train", FileJson(path)}}; }
BadInputs BadPath(std::string_view path, std::string_view shown) {
  return {Trained(path),
          "#/inputs/train/path: inputs.train.path must be a relative path without "
          "'..', not " +
              std::string(shown)};
}

INSTANTIATE_TEST_SUITE_P(Paths, InputsRule,
                         testing::Values(BadPath("", "''"), BadPath("/etc/passwd", "'/etc/passwd'"),
                                         BadPath("..", "'..'"), BadPath("a/../../b", "'a/../../b'"),
                                         BadPath("a//b", "'a//b'"), BadPath("a/", "'a/'"),
                                         BadPath("./a", "'./a'"), BadPath("a/.", "'a/.'")));

INSTANTIATE_TEST_SUITE_P(
    Files, InputsRule,
    testing::Values(
        BadInputs{{{"train", {{"path", "a"}, {"digest", "sha256:xyz"}, {"size_bytes", 1}}}},
                  "#/inputs/train/digest: inputs.train.digest must be sha256: and 64 hexadecimal "
                  "digits, not 'sha256:xyz'"},
        BadInputs{{{"train", {{"path", "a"}, {"digest", "sha256:xyz"}}}},
                  "#/inputs/train: inputs.train.size_bytes is missing"},
        BadInputs{{{"model", FileJson("a")}},
                  "#/inputs/model: inputs.model must be a list of {path, digest, size_bytes}, not "
                  "a mapping"},
        BadInputs{{{"model", {FileJson("b"), FileJson("a")}}},
                  "#/inputs/model/1: inputs.model must be sorted by path, each path once"},
        BadInputs{{{"model", {FileJson("a"), FileJson("a")}}},
                  "#/inputs/model/1: inputs.model must be sorted by path, each path once"},
        BadInputs{{{"modle", nullptr}},
                  "#/inputs/modle: unknown field 'modle' in inputs (did you mean model?)"}));

TEST(FromJson, RefusesTextThatIsNotUtf8) {
  json resolved = ToJson(JobOf(Minimal()));
  resolved["model"] = "\xff";
  EXPECT_EQ(ProblemsOfJson(resolved), "invalid #/model: text that is not UTF-8\n");
  resolved["model"] = "m";
  resolved["metadata"]["\xff"] = "x";
  EXPECT_EQ(ProblemsOfJson(resolved), "invalid #/metadata: a key that is not UTF-8\n");
}

TEST(FromJson, RefusesWhatIsNoObject) {
  EXPECT_THAT(ProblemsOfJson(json::array()), HasSubstr("a spec must be a mapping of fields"));
  EXPECT_THAT(ProblemsOfJson(json()), HasSubstr("the spec is empty"));
  EXPECT_THAT(ProblemsOfJson(json::binary({1, 2})), HasSubstr("binary values are not accepted"));
}

TEST(ExactBytes, ReadsBackExactly) {
  for (const std::int64_t count :
       {std::int64_t{1}, std::int64_t{1023}, std::int64_t{1024}, std::int64_t{1} << 20,
        (std::int64_t{1} << 30) + 1, std::int64_t{3} << 29, std::int64_t{1} << 50}) {
    EXPECT_EQ(ParseBytes(ExactBytes({count})), Bytes{count}) << ExactBytes({count});
  }
  EXPECT_EQ(ExactBytes({std::int64_t{4} << 30}), "4GiB");
}

}  // namespace
}  // namespace tutti::spec
