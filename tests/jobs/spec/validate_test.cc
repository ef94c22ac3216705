#include "jobs/spec/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/jobs/spec/spec_text.h"

namespace tutti::spec {
namespace {

struct RuleCase {
  std::string text;
  std::string problem;
};
std::ostream& operator<<(std::ostream& out, const RuleCase& c) { return out << c.text; }

RuleCase RuleLine(std::string_view line, std::string problem) {
  return {Minimal(std::string(line) + "\n"), std::move(problem)};
}

RuleCase WithoutEval(std::string_view line, std::string problem) {
  return {
      "name: a\ntask: text-classification\nmodel: m\ndata: {train: t}\n" + std::string(line) + "\n",
      std::move(problem)};
}

RuleCase Data(std::string_view data, std::string problem) {
  return {"name: a\ntask: text-classification\nmodel: m\ndata: {" + std::string(data) + "}\n",
          std::move(problem)};
}

class Rule : public testing::TestWithParam<RuleCase> {};

TEST_P(Rule, IsKept) { EXPECT_EQ(ProblemsOf(GetParam().text), GetParam().problem + "\n"); }

INSTANTIATE_TEST_SUITE_P(
    Names, Rule,
    testing::Values(
        RuleCase{
            "name: -a\ntask: text-classification\nmodel: m\ndata: {train: t}\n",
            "invalid spec:1:7: name must be 1-63 of A-Z a-z 0-9 . _ -, starting with a letter or "
            "digit, not '-a' (write a)"},
        RuleCase{
            "name: \"\"\ntask: text-classification\nmodel: m\ndata: {train: t}\n",
            "invalid spec:1:7: name must be 1-63 of A-Z a-z 0-9 . _ -, starting with a letter or "
            "digit, not ''"},
        RuleCase{
            "name: ü b\ntask: text-classification\nmodel: m\ndata: {train: t}\n",
            "invalid spec:1:7: name must be 1-63 of A-Z a-z 0-9 . _ -, starting with a letter or "
            "digit, not 'ü b' (write b)"},
        RuleCase{"name: a\ntask: text-classification\nmodel: \"\"\ndata: {train: \"\"}\n",
                 "invalid spec:3:8: model is empty\ninvalid spec:4:15: data.train is empty"},
        RuleLine(
            "schedule: {queue: a/b}",
            "invalid spec:5:19: schedule.queue must be 1-63 of A-Z a-z 0-9 . _ -, starting with a "
            "letter or digit, not 'a/b' (write a-b)"),
        RuleLine("metadata: {\"\": x}",
                 "invalid spec:5:12: a key of metadata has 1 to 64 characters, not 0"),
        RuleLine("metadata: {" + std::string(65, 'k') + ": x}",
                 "invalid spec:5:12: a key of metadata has 1 to 64 characters, not 65"),
        RuleLine("metadata: {k: " + std::string(513, 'v') + "}",
                 "invalid spec:5:12: metadata.k has 513 characters; at most 512")));

INSTANTIATE_TEST_SUITE_P(
    Ranks, Rule,
    testing::Values(
        RuleLine("resources: {ranks: 3}",
                 "invalid spec:5:20: resources.ranks must be a power of two, not 3 (write 2 or 4)"),
        RuleLine("resources: {ranks: {min: 3, max: 8}}",
                 "invalid spec:5:26: resources.ranks.min must be a power of two, not 3 (write 2 or "
                 "4)"),
        RuleLine("resources: {ranks: {min: 4, max: 2}}",
                 "invalid spec:5:26: resources.ranks.min 4 is above resources.ranks.max 2"),
        RuleLine("training: {shards: 6}",
                 "invalid spec:5:20: training.shards must be a power of two, not 6 (write 4 or 8)"),
        RuleLine("training: {shards: 2}\nresources: {ranks: 4}",
                 "invalid spec:5:20: training.shards must be at least resources.ranks.max 4, not 2 "
                 "(write 4, or leave it out)")));

INSTANTIATE_TEST_SUITE_P(
    Batch, Rule,
    testing::Values(
        RuleLine(
            "training: {global_batch_size: 48, shards: 4, micro_batch_size: 8}",
            "invalid spec:5:31: training.global_batch_size must be shards 4 × micro_batch_size 8 "
            "= 32 × a whole number, not 48 (the nearest that fit are 32 and 64)"),
        RuleLine(
            "training: {global_batch_size: 48, shards: 4}",
            "invalid spec:5:31: training.global_batch_size must be shards 4 × micro_batch_size 8 "
            "= 32 × a whole number, not 48 (the nearest that fit are 32 and 64; or write "
            "micro_batch_size: 6)"),
        RuleLine(
            "training: {global_batch_size: 16, shards: 4}",
            "invalid spec:5:31: training.global_batch_size must be shards 4 × micro_batch_size 8 "
            "= 32 × a whole number, not 16 (the nearest that fits is 32; or write "
            "micro_batch_size: 4)"),
        RuleLine(
            "training: {global_batch_size: 32, per_device_train_batch_size: 8, "
            "gradient_accumulation_steps: 2}",
            "invalid spec:5:64: per_device_train_batch_size 8 × gradient_accumulation_steps 2 × 1 "
            "ranks = 16 contradicts training.global_batch_size 32 (keep global_batch_size alone: "
            "it holds for any number of ranks)"),
        RuleLine(
            "training: {global_batch_size: 20, per_device_train_batch_size: 8}",
            "invalid spec:5:64: per_device_train_batch_size 8 × gradient_accumulation_steps 2 × 1 "
            "ranks = 16 contradicts training.global_batch_size 20 (keep global_batch_size alone: "
            "it holds for any number of ranks)"),
        RuleLine(
            "training: {per_device_train_batch_size: 1048576, gradient_accumulation_steps: "
            "1048576}",
            "invalid spec:5:41: per_device_train_batch_size 1048576 × "
            "gradient_accumulation_steps 1048576 × 1 ranks = 1099511627776 rows; a global batch "
            "has at least 1 and at most 1073741824"),
        RuleLine(
            "training: {per_device_train_batch_size: 3, shards: 4}",
            "invalid spec:5:41: training.global_batch_size must be shards 4 × micro_batch_size 8 "
            "= 32 × a whole number, not 3 (the nearest that fits is 32)")));

INSTANTIATE_TEST_SUITE_P(
    Eval, Rule,
    testing::Values(
        WithoutEval("training: {load_best_model_at_end: true}",
                    "invalid spec:5:36: training.load_best_model_at_end needs data.eval (name a "
                    "file, or a fraction like 0.05 of the training rows)"),
        WithoutEval("training: {early_stopping_patience: 2}",
                    "invalid spec:5:37: training.early_stopping_patience needs data.eval (name a "
                    "file, or a fraction like 0.05 of the training rows)"),
        WithoutEval("training: {eval_steps: 10}",
                    "invalid spec:5:24: training.eval_steps needs data.eval (name a file, or a "
                    "fraction like 0.05 of the training rows)"),
        RuleLine("evaluation: {samples: 2}",
                 "invalid spec:5:23: evaluation.samples is not of text-classification (it is for "
                 "text-generation: leave it out)"),
        RuleLine(
            "evaluation: {samples: 21}",
            "invalid spec:5:23: evaluation.samples must be at least 0 and at most 20, not '21'"),
        RuleLine("training: {metric_for_best_model: bleu}",
                 "invalid spec:5:35: text-classification has no metric 'bleu' (one of accuracy, "
                 "macro_f1, loss)"),
        RuleLine(
            "training: {metric_for_best_model: eval_accuracy}",
            "invalid spec:5:35: text-classification has no metric 'eval_accuracy' (did you mean "
            "accuracy?)")));

RuleCase Dpo(const std::string& line, const std::string& method, const std::string& problem) {
  return {"name: a\ntask: text-generation\nmodel: m\ndata: {train: t}\nmethod: {dpo: " + method +
              "}\n" + line + "\n",
          problem};
}

INSTANTIATE_TEST_SUITE_P(
    Preferences, Rule,
    testing::Values(
        Dpo("training: {label_smoothing_factor: 0.1}", "{}",
            "invalid spec:6:36: method dpo has no training.label_smoothing_factor (write method: "
            "{dpo: {loss_type: sigmoid_smoothed, label_smoothing: …}})"),
        Dpo("resume_from: ft:x", "{lora: {}}",
            "invalid spec:6:14: method dpo has no resume_from (with an adapter, write what to "
            "start from as model: it is what answers are compared with, too)"),
        Dpo("", "{label_smoothing: 0.1}",
            "invalid spec:5:33: loss_type sigmoid takes no label_smoothing (write loss_type: "
            "sigmoid_smoothed or robust)"),
        Dpo("training: {metric_for_best_model: perplexity}\nmetadata: {}", "{}",
            "invalid spec:6:35: text-generation has no metric 'perplexity' (one of "
            "rewards/accuracies, rewards/margins, rewards/chosen, rewards/rejected, loss)"),
        Dpo("", "{beta: 0}", "invalid spec:5:22: method.dpo.beta must be above 0, not '0'")));

INSTANTIATE_TEST_SUITE_P(
    Data, Rule,
    testing::Values(
        Data("train: s3://bucket/rows",
             "invalid spec:4:15: data.train must be a path or file:///…, not 's3://bucket/rows' "
             "(download it and name the file)"),
        Data("train: \"file:rows\"",
             "invalid spec:4:15: data.train must be file:/// and an absolute path, not "
             "'file:rows'"),
        Data("train: t, eval: \"\"", "invalid spec:4:24: data.eval is empty"),
        Data("train: t, columns: {txt: body}",
             "invalid spec:4:28: text-classification has no column 'txt' (did you mean text?)"),
        Data("train: t, columns: {prompt: body}",
             "invalid spec:4:28: text-classification has no column 'prompt' (one of text, label)"),
        Data("train: t, columns: {text: \"\"}",
             "invalid spec:4:28: data.columns.text is empty (name a column of the file)"),
        Data("train: t, source_prefix: \"x: \"",
             "invalid spec:4:33: data.source_prefix means nothing to text-classification (it is "
             "for translation and summarization)"),
        Data("train: t, train_on_inputs: true",
             "invalid spec:4:35: data.train_on_inputs means nothing to text-classification (it is "
             "for text-generation with prompts)"),
        Data("train: t, max_length: 0",
             "invalid spec:4:30: data.max_length must be at least 1 and at most 1048576, not "
             "'0'")));

INSTANTIATE_TEST_SUITE_P(
    Schedule, Rule,
    testing::Values(
        RuleLine("training: {lr_scheduler_kwargs: {num_cycles: 1}}",
                 "invalid spec:5:46: schedule linear does not take 'num_cycles' (it takes none)"),
        RuleLine("training: {lr_scheduler_type: cosine, lr_scheduler_kwargs: {num_cycle: 1}}",
                 "invalid spec:5:72: schedule cosine does not take 'num_cycle' (did you mean "
                 "num_cycles?)"),
        RuleLine("training: {lr_scheduler_type: cosine, lr_scheduler_kwargs: {num_cycles: \"1\"}}",
                 "invalid spec:5:73: training.lr_scheduler_kwargs.num_cycles must be a number, not "
                 "text '1' (write 1 without quotes)"),
        RuleLine(
            "training: {lr_scheduler_type: cosine, lr_scheduler_kwargs: {num_cycles: .nan}}",
            "invalid spec:5:73: training.lr_scheduler_kwargs.num_cycles must be a finite number, "
            "not '.nan'"),
        RuleLine("training: {lr_scheduler_type: cosine, lr_scheduler_kwargs: {num_cycles: many}}",
                 "invalid spec:5:73: training.lr_scheduler_kwargs.num_cycles must be a number, not "
                 "text 'many'"),
        RuleLine("training: {lr_scheduler_type: cosine_with_min_lr}",
                 "invalid spec:5:31: cosine_with_min_lr needs one of min_lr and min_lr_rate (write "
                 "lr_scheduler_kwargs: {min_lr_rate: 0.1})"),
        RuleLine(
            "training: {lr_scheduler_type: warmup_stable_decay, lr_scheduler_kwargs: "
            "{num_decay_steps: 1.5, decay_type: cubic}}",
            "invalid spec:5:91: training.lr_scheduler_kwargs.num_decay_steps must be a whole "
            "number, not 1.5\n"
            "invalid spec:5:108: training.lr_scheduler_kwargs.decay_type must be one of linear, "
            "cosine, 1-sqrt (one of linear, cosine, 1-sqrt)"),
        RuleLine("training: {lr_scheduler_type: warmup_stable_decay}",
                 "invalid spec:5:31: warmup_stable_decay needs num_decay_steps (write "
                 "lr_scheduler_kwargs: {num_decay_steps: 100})"),
        RuleLine("training: {lr_scheduler_type: polynomial, lr_scheduler_kwargs: {lr_end: 1}}",
                 "invalid spec:5:64: polynomial falls to lr_end 1, which must be below "
                 "training.learning_rate 5e-05"),
        RuleLine(
            "training: {lr_scheduler_type: inverse_sqrt, lr_scheduler_kwargs: {timescale: 0}}",
            "invalid spec:5:78: training.lr_scheduler_kwargs.timescale must be above 0, not 0")));

// What the schedules of Transformers take is accepted.
class Accepted : public testing::TestWithParam<std::string> {};

TEST_P(Accepted, WithoutAWord) { EXPECT_EQ(ProblemsOf(GetParam()), ""); }

INSTANTIATE_TEST_SUITE_P(
    Training, Accepted,
    testing::Values(
        Training("lr_scheduler_type: cosine, lr_scheduler_kwargs: {num_cycles: 1.25}"),
        Training("lr_scheduler_type: cosine_with_restarts, lr_scheduler_kwargs: {num_cycles: 3}"),
        Training("lr_scheduler_type: polynomial, lr_scheduler_kwargs: {lr_end: 1.0e-6, power: 2}"),
        Training("lr_scheduler_type: inverse_sqrt, lr_scheduler_kwargs: {timescale: 7}"),
        Training("lr_scheduler_type: cosine_with_min_lr, lr_scheduler_kwargs: {min_lr: 1.0e-6}"),
        Training("lr_scheduler_type: cosine_warmup_with_min_lr, lr_scheduler_kwargs: "
                 "{min_lr_rate: 0.1}"),
        Training("lr_scheduler_type: warmup_stable_decay, lr_scheduler_kwargs: {num_decay_steps: "
                 "5, warmup_type: cosine, decay_type: 1-sqrt, min_lr_ratio: 0.1}"),
        Training("lr_scheduler_type: constant_with_warmup, warmup_steps: 5"),
        Training("lr_scheduler_type: constant"), Training("max_grad_norm: 0"),
        Training("load_best_model_at_end: true, early_stopping_patience: 3"),
        Training("label_smoothing_factor: 0.1, save_total_limit: 2, num_train_epochs: 0.5"),
        Training("shards: 8"), Training("global_batch_size: 96, shards: 4")));

INSTANTIATE_TEST_SUITE_P(
    Rest, Accepted,
    testing::Values(Minimal("method: full\n"), Minimal("resources: {ranks: {min: 2, max: 8}}\n"),
                    Minimal("resources: {ranks: {max: 4}}\n"),
                    Minimal("deploy: {on_success: false}\npublish:\nwebhooks: []\n"),
                    Minimal("retry: {on: []}\n"),
                    Minimal("metadata: {\"any text, 1:2\": \"line\\nend\"}\n"),
                    Minimal("schedule: {depends_on: [], labels: {}, topology: ~}\n")));

}  // namespace
}  // namespace tutti::spec
