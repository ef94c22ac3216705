#include <cmath>
#include <cstdio>
#include <string>

#include "jobs/spec/names.h"
#include "worker/finetune/export.h"

namespace tutti::finetune {
namespace {

std::string Number(double value, const char* format) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

// Names from outside stand in code spans: no character of theirs is Markdown.
std::string Code(const std::string& text) {
  std::string clean;
  for (const char c : text) {
    if (c != '`' && c != '\n' && c != '\r') clean += c;
  }
  return "`" + clean + "`";
}

// Quoted for YAML.
std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) quoted += c;
  }
  return quoted + "\"";
}

std::string Header(const ExportInput& input) {
  std::string text = "---\nlibrary_name: transformers\npipeline_tag: ";
  text += ToString(input.job.spec.task);
  text += "\nbase_model: " + Quoted(input.job.spec.model);
  text += "\ntags:\n- tutti\n";
  if (!input.metrics.empty()) {
    text += "metrics:\n";
    for (const auto& [name, value] : input.metrics) text += "- " + name + "\n";
  }
  return text + "---\n\n";
}

std::string Evaluation(const ExportInput& input) {
  if (input.metrics.empty() || !input.job.eval) return "";
  const spec::DataSpec& data = input.job.spec.data;
  std::string text = "## Evaluation\n\n";
  text += "On " + std::to_string(input.job.eval->size()) + " rows";
  text += data.eval ? " of " + Code(*data.eval) + ".\n\n" : " held out of the training data.\n\n";
  text += "| metric | value |\n|---|---|\n";
  for (const auto& [name, value] : input.metrics) {
    text += "| " + name + " | " + Number(value, "%.4f") + " |\n";
  }
  return text + "\n";
}

std::string Training(const ExportInput& input) {
  const spec::TrainingSpec& t = input.job.spec.training;
  const auto row = [](const std::string& name, const std::string& value) {
    return "| " + name + " | " + value + " |\n";
  };
  std::string text = "## Training\n\n";
  text += "Tuned from " + Code(input.job.spec.model) + " on " +
          std::to_string(input.job.train.size()) + " rows of " + Code(input.job.spec.data.train) +
          ".\n\n| setting | value |\n|---|---|\n";
  text += row("steps", std::to_string(input.step));
  text += row("global_batch_size", std::to_string(t.global_batch_size));
  text += row("learning_rate", Number(t.learning_rate, "%g"));
  text += row("lr_scheduler_type", std::string(ToString(t.lr_scheduler_type)));
  text += row("weight_decay", Number(t.weight_decay, "%g"));
  text += row("max_length", std::to_string(input.job.max_length));
  text += row("seed", std::to_string(t.seed));
  return text + "\n";
}

constexpr char kUseGenerator[] = R"(## Use

```python
from transformers import pipeline

write = pipeline("text-generation", model="path/to/this/directory")
print(write("the beginning of a text", max_new_tokens=60)[0]["generated_text"])
```
)";

std::string Labels(const ExportInput& input) {
  std::string text = "## Labels\n\n";
  for (const std::string& label : input.job.labels()) text += "- " + Code(label) + "\n";
  return text + "\n";
}

constexpr char kUse[] = R"(## Use

```python
from transformers import pipeline

classify = pipeline("text-classification", model="path/to/this/directory")
print(classify("a text"))
```
)";

}  // namespace

std::string ModelCard(const ExportInput& input) {
  const std::string& name = input.job.spec.name;
  std::string text = Header(input);
  text += "# " + (name.empty() ? std::string("Tuned model") : name) + "\n\n";
  const std::string& family = input.job.model->config().model_type;
  if (input.job.generates()) {
    text += "A " + family + " model that continues texts.\n\n";
    return text + Evaluation(input) + Training(input) + kUseGenerator;
  }
  text += "A " + family + " classifier of " + std::to_string(input.job.labels().size()) +
          " labels.\n\n";
  return text + Evaluation(input) + Training(input) + Labels(input) + kUse;
}

}  // namespace tutti::finetune
