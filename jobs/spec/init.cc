#include "jobs/spec/init.h"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

#include "jobs/spec/names.h"
#include "jobs/spec/tree.h"

namespace tutti::spec {
namespace {

bool IsPlain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '/' || c == '-';
}

constexpr std::string_view kTemplate = R"(# A Tutti job. Start it with: tutti submit FILE --follow
# Relative paths start at this file's folder. docs/spec.md has every field and its default.

name: {name}
task: {task}
model: {model}  # a folder in Hugging Face layout; ./ ../ or / start a path

data:
  train: {train}  # JSONL, CSV or TSV, .gz too
  eval: {eval}
{columns}  # max_length: 128          # tokens kept of a row
{method}
training:
  num_train_epochs: 3
  learning_rate: 5.0e-5
  lr_scheduler_type: linear
  warmup_ratio: 0.1
  weight_decay: 0.01
  micro_batch_size: 8        # rows computed at once
  # global_batch_size: 32    # rows an update: shards x micro_batch_size x a whole number
  logging_steps: 10
  # load_best_model_at_end: true
  # early_stopping_patience: 3

resources:
  ranks: {{min: 1, max: 2}}    # processes, powers of two; may change while the job runs
  # memory_per_rank: 4GiB    # predicted when left out

# schedule: {{queue: default, priority: 0, max_duration: 6h}}
# retry: {{max_attempts: 3, on: [worker_lost, crash, hang]}}
)";

}  // namespace

std::string YamlText(std::string_view text) {
  const bool is_plain = !text.empty() && text.front() != '-' &&
                        std::ranges::all_of(text, IsPlain) &&
                        std::holds_alternative<std::string>(ResolvePlain(text).value);
  if (is_plain) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      quoted += fmt::format("\\x{:02x}", byte);
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::string InitialSpec(const InitAnswers& answers) {
  const std::string eval =
      answers.eval
          ? fmt::format("{}  # or a fraction of train's rows: 0.05", YamlText(*answers.eval))
          : fmt::format("{}  # this share of train's rows is kept aside; or a file",
                        answers.eval_fraction);
  std::string columns;
  if (answers.task == Task::kTextClassification) {
    columns = fmt::format("  columns: {{text: {}, label: {}}}\n", YamlText(answers.text_column),
                          YamlText(answers.label_column));
  }
  const std::string method =
      answers.preferences
          ? "\nmethod:\n  dpo: {beta: 0.1}      # add lora: {} to train an adapter\n"
          : "";
  return fmt::format(
      kTemplate, fmt::arg("name", YamlText(answers.name)), fmt::arg("task", ToString(answers.task)),
      fmt::arg("model", YamlText(answers.model)), fmt::arg("train", YamlText(answers.train)),
      fmt::arg("eval", eval), fmt::arg("columns", columns), fmt::arg("method", method));
}

}  // namespace tutti::spec
