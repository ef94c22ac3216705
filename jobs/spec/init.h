// The spec that `tutti init` writes: a commented start that ParseSpec accepts. Free function, any
// thread.
#pragma once

#include <optional>
#include <string>

#include "jobs/spec/spec.h"

namespace tutti::spec {

struct InitAnswers {
  std::string name;
  Task task = Task::kTextClassification;
  std::string model;                  // as in a spec
  std::string train;                  // likewise
  std::optional<std::string> eval{};  // a file; nullopt: a fraction of the training rows
  double eval_fraction = 0.05;        // that one
  std::string text_column = "text";
  std::string label_column = "label";
  bool preferences = false;  // rows are pairs of answers
};

// YAML. The answers are quoted where YAML needs it and not checked: ParseSpec says what is wrong.
std::string InitialSpec(const InitAnswers& answers);

// `text` as a YAML scalar that reads back as this text, in quotes only where needed.
std::string YamlText(std::string_view text);

}  // namespace tutti::spec
