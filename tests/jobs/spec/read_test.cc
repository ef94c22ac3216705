#include "jobs/spec/read.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/jobs/spec/spec_text.h"

namespace tutti::spec {
namespace {

struct ReadCase {
  std::string text;     // a whole spec
  std::string problem;  // all of what is said of it, without the last line end
};
std::ostream& operator<<(std::ostream& out, const ReadCase& c) { return out << c.text; }

// A spec whose fifth line is `line`.
ReadCase ReadLine(std::string_view line, std::string problem) {
  return {Minimal(std::string(line) + "\n"), std::move(problem)};
}

class Refused : public testing::TestWithParam<ReadCase> {};

TEST_P(Refused, WithPlaceFieldAndHint) {
  EXPECT_EQ(ProblemsOf(GetParam().text), "invalid " + GetParam().problem + "\n");
}

INSTANTIATE_TEST_SUITE_P(
    Numbers, Refused,
    testing::Values(
        ReadLine("training: {learning_rate: \"5e-5\"}",
                 "spec:5:27: training.learning_rate must be a number, not text '5e-5' (write 5e-5 "
                 "without quotes)"),
        ReadLine("training: {learning_rate: 0}",
                 "spec:5:27: training.learning_rate must be above 0, not '0'"),
        ReadLine("training: {learning_rate: -1.0e-3}",
                 "spec:5:27: training.learning_rate must be above 0, not '-1.0e-3'"),
        ReadLine("training: {learning_rate: .nan}",
                 "spec:5:27: training.learning_rate must be a finite number above 0, not '.nan'"),
        ReadLine("training: {learning_rate: .inf}",
                 "spec:5:27: training.learning_rate must be a finite number above 0, not '.inf'"),
        ReadLine("training: {learning_rate: 1e400}",
                 "spec:5:27: training.learning_rate must be a finite number above 0, not '1e400'"),
        ReadLine("training: {learning_rate: 1e-400}",
                 "spec:5:27: training.learning_rate must be a finite number above 0, not '1e-400'"),
        ReadLine("training: {learning_rate: true}",
                 "spec:5:27: training.learning_rate must be a number, not true or false 'true'"),
        ReadLine("training: {learning_rate: [1]}",
                 "spec:5:27: training.learning_rate must be a number, not a list"),
        ReadLine("training: {learning_rate: {}}",
                 "spec:5:27: training.learning_rate must be a number, not a mapping"),
        ReadLine("training: {learning_rate: }",
                 "spec:5:27: training.learning_rate has no value (write a number, or remove the "
                 "field)"),
        ReadLine("training: {warmup_ratio: 1}",
                 "spec:5:26: training.warmup_ratio must be at least 0 and below 1, not '1'"),
        ReadLine(
            "training: {warmup_ratio: 1_0}",
            "spec:5:26: training.warmup_ratio must be a number, not text '1_0' (write 10 without "
            "quotes)"),
        ReadLine("data2: {}", "spec:5:1: unknown field 'data2' (did you mean data?)"),
        ReadLine("training: {num_train_epochs: 0}",
                 "spec:5:30: training.num_train_epochs must be above 0 and at most 1000000, not "
                 "'0'")));

INSTANTIATE_TEST_SUITE_P(
    WholeNumbers, Refused,
    testing::Values(
        ReadLine("training: {max_steps: 0}",
                 "spec:5:23: training.max_steps must be at least 1 and at most 1000000000000, not "
                 "'0'"),
        ReadLine("training: {max_steps: 1e3}",
                 "spec:5:23: training.max_steps must be a whole number, not a number '1e3' (write "
                 "1000)"),
        ReadLine("training: {max_steps: 2.5}",
                 "spec:5:23: training.max_steps must be a whole number, not a number '2.5'"),
        ReadLine("training: {max_steps: 1e300}",
                 "spec:5:23: training.max_steps must be at least 1 and at most 1000000000000, not "
                 "'1e300'"),
        ReadLine("training: {max_steps: 9223372036854775808}",
                 "spec:5:23: training.max_steps must be at least 1 and at most 1000000000000, not "
                 "'9223372036854775808'"),
        ReadLine("training: {max_steps: 012}",
                 "spec:5:23: training.max_steps must be a whole number, not text '012' (write 12)"),
        ReadLine("training: {max_steps: 12:30}",
                 "spec:5:23: training.max_steps must be a whole number, not text '12:30'"),
        ReadLine("training: {seed: -1}",
                 "spec:5:18: training.seed must be at least 0 and at most 9007199254740991, not "
                 "'-1'"),
        ReadLine("resources: {cpus_per_rank: 0}",
                 "spec:5:28: resources.cpus_per_rank must be at least 1 and at most 1024, not '0'"),
        ReadLine("resources: {ranks: two}",
                 "spec:5:20: resources.ranks must be a whole number, or {min: …, max: …}, not text "
                 "'two'"),
        ReadLine("resources: {ranks: \"2\"}",
                 "spec:5:20: resources.ranks must be a whole number, or {min: …, max: …}, not text "
                 "'2' (write 2)"),
        ReadLine("resources: {ranks: 0}",
                 "spec:5:20: resources.ranks must be at least 1 and at most 4096, not '0'"),
        ReadLine("resources: {ranks: {mn: 1}}",
                 "spec:5:21: unknown field 'mn' in resources.ranks (did you mean min?)")));

INSTANTIATE_TEST_SUITE_P(
    Words, Refused,
    testing::Values(
        ReadLine(
            "schedule: {preemptible: yes}",
            "spec:5:25: schedule.preemptible must be true or false, not text 'yes' (write true)"),
        ReadLine(
            "schedule: {preemptible: Off}",
            "spec:5:25: schedule.preemptible must be true or false, not text 'Off' (write false)"),
        ReadLine("schedule: {preemptible: 1}",
                 "spec:5:25: schedule.preemptible must be true or false, not a whole number '1'"),
        ReadLine(
            "schedule: {queue: 42}",
            "spec:5:19: schedule.queue must be text, not a whole number '42' (put it in quotes: "
            "\"42\")"),
        ReadLine("training: {lr_scheduler_type: cosin}",
                 "spec:5:31: training.lr_scheduler_type cannot be 'cosin' (did you mean cosine?)"),
        ReadLine(
            "retry: {on: [crash, data]}",
            "spec:5:21: retry.on cannot be 'data' (one of worker_lost, crash, hang, oom, timeout, "
            "disk_full, numeric, internal)"),
        ReadLine("retry: {on: [crash, crash]}", "spec:5:21: retry.on has 'crash' twice"),
        ReadLine("retry: {on: crash}",
                 "spec:5:13: retry.on must be a list of reasons, not text 'crash' (write "
                 "[worker_lost, crash, hang]; [] never tries again)"),
        ReadLine(
            "metadata: {ticket: 42}",
            "spec:5:20: metadata.ticket must be text, not a whole number '42' (put it in quotes: "
            "\"42\")"),
        ReadLine("metadata: [a]",
                 "spec:5:11: metadata must be a mapping of names to texts, not a list"),
        ReadLine("metadata: {x: \"a\\0b\"}",
                 "spec:5:15: metadata.x has a control character: 'a\\x00b'"),
        ReadLine("metadata: {\"a\\eb\": x}",
                 "spec:5:12: a key of metadata has a control character: 'a\\x1bb'"),
        ReadLine("metadata: {x: \"" + std::string(5000, 'x') + "\"}",
                 "spec:5:15: metadata.x is 5000 bytes long; at most 4096 are read")));

INSTANTIATE_TEST_SUITE_P(
    TimesAndSizes, Refused,
    testing::Values(
        ReadLine(
            "schedule: {max_duration: 90}",
            "spec:5:26: schedule.max_duration must be a time like 90s, 45m or 6h30m, not a whole "
            "number '90' (add a unit: 90s, m, h or d)"),
        ReadLine(
            "schedule: {max_duration: soon}",
            "spec:5:26: schedule.max_duration must be a time like 90s, 45m or 6h30m of at most 10 "
            "years, not 'soon' (units are d h m s ms)"),
        ReadLine(
            "schedule: {max_duration: 0s}",
            "spec:5:26: schedule.max_duration must be a time like 90s, 45m or 6h30m of at most 10 "
            "years, not '0s' (units are d h m s ms)"),
        ReadLine(
            "schedule: {max_duration: 0.0001ms}",
            "spec:5:26: schedule.max_duration must be a time like 90s, 45m or 6h30m of at most 10 "
            "years, not '0.0001ms' (units are d h m s ms)"),
        ReadLine(
            "schedule: {max_duration: 1000000d}",
            "spec:5:26: schedule.max_duration must be a time like 90s, 45m or 6h30m of at most 10 "
            "years, not '1000000d' (units are d h m s ms)"),
        ReadLine(
            "resources: {memory_per_rank: 4}",
            "spec:5:30: resources.memory_per_rank must be a size from 1.0 MiB to 1024.0 TiB, not "
            "'4' (write it like 4GiB or 512MiB)"),
        ReadLine(
            "resources: {memory_per_rank: 4gb}",
            "spec:5:30: resources.memory_per_rank must be a size from 1.0 MiB to 1024.0 TiB, not "
            "'4gb' (write it like 4GiB or 512MiB)"),
        ReadLine("resources: {memory_per_rank: true}",
                 "spec:5:30: resources.memory_per_rank must be a size like 4GiB, not true or false "
                 "'true'")));

INSTANTIATE_TEST_SUITE_P(
    Shapes, Refused,
    testing::Values(
        ReadLine("method: lora",
                 "spec:5:9: method must be full, or a mapping with lora or dpo, not text 'lora' "
                 "(write method: {lora: {}})"),
        ReadLine("method: ",
                 "spec:5:8: method has no value (write full, or a mapping with lora or "
                 "dpo, or remove the field)"),
        ReadLine("method: {}",
                 "spec:5:9: method must be full, or a mapping with lora or dpo, not a mapping"),
        ReadLine("method: {lor: {}}",
                 "spec:5:10: unknown field 'lor' in method (did you mean lora?)"),
        ReadLine(
            "method: {lora: {}, dpo: {}}",
            "spec:5:9: method takes one of lora and dpo, not both (adapters with dpo are written "
            "below dpo: {lora: {…}})"),
        ReadLine("training: 3",
                 "spec:5:11: training must be a mapping of fields, not a whole number '3' (write "
                 "NAME: VALUE lines)"),
        ReadLine("inputs: {}", "spec:5:1: unknown field 'inputs'"),
        ReadLine("training.seed: 1", "spec:5:1: unknown field 'training.seed'"),
        ReadLine("webhooks: [{url: \"ftp://x\", on: [failed]}]",
                 "spec:5:18: webhooks.url must start with http:// or https://, not 'ftp://x'"),
        ReadLine("webhooks: [{url: \"http://x\", on: [filed]}]",
                 "spec:5:34: webhooks.on cannot be 'filed' (did you mean failed?)"),
        ReadLine("webhooks: [{url: \"http://x\"}]", "spec:5:12: webhooks.on is missing"),
        ReadCase{
            "- a\n- b\n",
            "spec:1:1: a spec must be a mapping of fields, not a list (write NAME: VALUE lines)"},
        ReadCase{"just words\n",
                 "spec:1:1: a spec must be a mapping of fields, not text 'just words' (write NAME: "
                 "VALUE lines)"},
        ReadCase{"# nothing\n",
                 "spec:2:1: the spec is empty (tutti init writes one to start from)"}));

INSTANTIATE_TEST_SUITE_P(
    Eval, Refused,
    testing::Values(
        ReadCase{"name: a\ntask: text-classification\nmodel: m\ndata: {train: t, eval: 1.5}\n",
                 "spec:4:24: data.eval must be above 0 and below 1, not '1.5'"},
        ReadCase{"name: a\ntask: text-classification\nmodel: m\ndata: {train: t, eval: 0}\n",
                 "spec:4:24: data.eval must be above 0 and below 1, not '0'"},
        ReadCase{"name: a\ntask: text-classification\nmodel: m\ndata: {train: t, eval: \"0.05\"}\n",
                 "spec:4:24: data.eval must be a path or a fraction, not text '0.05' (write 0.05 "
                 "without quotes; a file of that name is ./0.05)"},
        ReadCase{"name: a\ntask: text-classification\nmodel: m\ndata: {train: t, eval: [x]}\n",
                 "spec:4:24: data.eval must be text, not a list"}));

TEST(ReadDraft, MissingFieldsAreNamedAtTheirSection) {
  const std::string problems = ProblemsOf("name: a\ndata:\n  eval: x\n");
  EXPECT_THAT(problems, testing::HasSubstr("invalid spec:1:1: task is missing"));
  EXPECT_THAT(problems, testing::HasSubstr("invalid spec:1:1: model is missing"));
  EXPECT_THAT(problems, testing::HasSubstr("invalid spec:3:3: data.train is missing"));
}

TEST(ReadDraft, ASectionWithoutEntriesIsEmpty) {
  EXPECT_EQ(JobOf(Minimal("training:\n  # max_steps: 5\nschedule:\n")), JobOf(Minimal()));
}

TEST(ReadDraft, NoValueIsNotGivenWhereThereIsNoFixedDefault) {
  EXPECT_EQ(JobOf(Minimal("training: {max_steps: ~, shards: null, save_steps: }\n"
                          "schedule: {max_duration: }\n")),
            JobOf(Minimal()));
}

TEST(ReadDraft, AFieldThatMayBeMisspeltSilencesRulesAboutIt) {
  // Without the typo's meaning, 32 would contradict the default of micro_batch_size.
  EXPECT_EQ(ProblemsOf(Training("global_batch_size: 4, micro_batch_sze: 4")),
            "invalid spec:5:34: unknown field 'micro_batch_sze' in training (did you mean "
            "micro_batch_size?)\n");
}

TEST(ReadDraft, TimesAreRoundedToMilliseconds) {
  EXPECT_EQ(JobOf(Minimal("schedule: {max_duration: 1.0004s}\n")).schedule.max_duration,
            std::chrono::seconds(1));
}

TEST(ReadDraft, SizesMayBeBytes) {
  EXPECT_EQ(JobOf(Minimal("resources: {memory_per_rank: 2097152}\n")).resources.memory_per_rank,
            Bytes{2 << 20});
}

}  // namespace
}  // namespace tutti::spec
