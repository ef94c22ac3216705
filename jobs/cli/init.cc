// A spec from answers, flags and a look at the data.
#include "jobs/spec/init.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <fstream>
#include <initializer_list>
#include <istream>
#include <vector>

#include "common/file/file.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/json_fields.h"
#include "jobs/spec/names.h"
#include "jobs/spec/parse.h"

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kPeek = std::size_t{1} << 20;

// The first line of a JSONL, CSV or TSV file; empty when it can't be read.
std::string FirstLine(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string line(kPeek, '\0');
  file.read(line.data(), static_cast<std::streamsize>(line.size()));
  line.resize(static_cast<std::size_t>(file.gcount()));
  return line.substr(0, line.find('\n'));
}

// The names of the first row's columns; empty when they can't be told (a .gz, no file).
std::vector<std::string> ColumnsOf(const std::string& path) {
  if (path.ends_with(".gz")) return {};
  const std::string line = FirstLine(path);
  std::vector<std::string> columns;
  const json row = json::parse(line, nullptr, false);
  if (row.is_object()) {
    for (const auto& [name, value] : row.items()) columns.push_back(name);
    return columns;
  }
  const char separator = path.ends_with(".tsv") ? '\t' : ',';
  std::string name;
  for (const char c : line + separator) {
    if (c == separator) {
      columns.push_back(name);
      name.clear();
    } else if (c != '"' && c != '\r') {
      name.push_back(c);
    }
  }
  return columns;
}

// The first of `names` that is among the columns; "" when none is.
std::string FirstOf(const std::vector<std::string>& columns,
                    std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (std::find(columns.begin(), columns.end(), name) != columns.end()) return name;
  }
  return {};
}

// As data sets call them. What is left of two columns is the other one.
std::string LabelColumn(const std::vector<std::string>& columns) {
  return FirstOf(columns, {"label", "labels", "target", "class", "category", "section"});
}
std::string TextColumn(const std::vector<std::string>& columns, const std::string& label) {
  const std::string known =
      FirstOf(columns, {"text", "sentence", "content", "document", "review", "title"});
  if (!known.empty() || columns.size() != 2) return known;
  return columns[columns[0] == label ? 1 : 0];
}

bool ArePreferences(const std::vector<std::string>& columns) {
  return !FirstOf(columns, {"chosen"}).empty() && !FirstOf(columns, {"rejected"}).empty();
}

std::string GuessTask(const std::vector<std::string>& columns) {
  if (ArePreferences(columns)) return "text-generation";
  if (!FirstOf(columns, {"translation"}).empty()) return "translation";
  if (!FirstOf(columns, {"summary", "highlights"}).empty()) return "summarization";
  if (!LabelColumn(columns).empty()) return "text-classification";
  if (!FirstOf(columns, {"messages", "conversations", "prompt", "instruction", "text"}).empty()) {
    return "text-generation";
  }
  return {};
}

// A valid name out of a file's: "sections.train.jsonl" -> "sections".
std::string NameFrom(const std::string& path) {
  const std::string file = fs::path(path).filename().string();
  std::string name = file.substr(0, file.find('.'));
  std::erase_if(name, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '_';
  });
  return name.empty() || std::isalnum(static_cast<unsigned char>(name[0])) == 0 ? "my-job" : name;
}

// A path of the working directory as the spec in `spec_path`'s folder has to name it. Others
// (absolute ones, names of models) as they are.
std::string FromSpec(const std::string& path, const std::string& spec_path, bool is_model) {
  std::error_code error;
  const bool there = fs::exists(path, error);
  const fs::path folder = fs::path(spec_path).parent_path();
  if (!there || fs::path(path).is_absolute()) return path;
  const std::string relative = fs::path(path).lexically_proximate(folder).string();
  const bool says_path = relative.starts_with("./") || relative.starts_with("../");
  return is_model && !says_path ? "./" + relative : relative;
}

std::string SpecText(const InitOptions& o) {
  const std::vector<std::string> columns = ColumnsOf(o.train);
  spec::InitAnswers answers{.name = o.name,
                            .model = FromSpec(o.model, o.path, true),
                            .train = FromSpec(o.train, o.path, false)};
  if (const auto task = spec::ParseTask(o.task)) answers.task = *task;
  answers.preferences = answers.task == spec::Task::kTextGeneration && ArePreferences(columns);
  double fraction = 0;
  const char* const end = o.eval.data() + o.eval.size();
  const auto [rest, error] = std::from_chars(o.eval.data(), end, fraction);
  if (!o.eval.empty() && error == std::errc() && rest == end) {
    answers.eval_fraction = fraction;
  } else if (!o.eval.empty()) {
    answers.eval = FromSpec(o.eval, o.path, false);
  }
  if (const std::string label = LabelColumn(columns); !label.empty()) {
    answers.label_column = label;
  }
  if (const std::string text = TextColumn(columns, answers.label_column); !text.empty()) {
    answers.text_column = text;
  }
  return spec::InitialSpec(answers);
}

std::string Ask(Context& context, const std::string& what, const std::string& fallback) {
  context.console.ErrRaw(what + (fallback.empty() ? "" : " [" + fallback + "]") + ": ");
  std::string line;
  if (!std::getline(context.console.in(), line) || line.empty()) return fallback;
  return line;
}

// Fills in what the flags left out: by looking, else by asking. The missing flags when nobody can
// be asked.
std::string Complete(Context& context, InitOptions& o) {
  const bool ask = context.console.in_terminal() && !context.console.json();
  std::string missing;
  const auto need = [&](std::string& field, const char* flag, const std::string& what,
                        const std::string& fallback, bool required) {
    if (!field.empty()) return;
    if (ask) field = Ask(context, what, fallback);
    if (field.empty()) field = fallback;
    if (field.empty() && required) missing += std::string(missing.empty() ? "" : ", ") + flag;
  };
  need(o.train, "--train", "Training data (JSONL, CSV or TSV)", "", true);
  need(o.model, "--model", "Model (a Hugging Face directory)", "", true);
  const std::string guess = o.train.empty() ? "" : GuessTask(ColumnsOf(o.train));
  need(o.task, "--task", "Task (text-classification, text-generation, translation, summarization)",
       guess, true);
  need(o.eval, "--eval", "Evaluation data (a file, or a fraction of the training data)", "0.05",
       false);
  need(o.name, "--name", "Name of the job", NameFrom(o.train), true);
  return missing;
}

}  // namespace

int Init(Context& context, const InitOptions& options) {
  Console& console = context.console;
  if (options.schema) {
    console.Out(spec::SpecSchema().dump(2));
    return kOk;
  }
  InitOptions o = options;
  std::error_code error;
  if (fs::exists(o.path, error) && !o.force) {
    console.Complain(Error{ErrorCode::kConflict, "it is there already", o.path,
                           "give another path, or --force"});
    return kUsage;
  }
  if (!o.train.empty() && !o.train.starts_with("file://") && !fs::exists(o.train, error)) {
    console.Complain(
        Error{ErrorCode::kNotFound, "there is no such file", o.train, "--train names the data"});
    return kUsage;
  }
  if (const std::string missing = Complete(context, o); !missing.empty()) {
    console.Complain(Error{ErrorCode::kInvalid, "missing: " + missing, "init",
                           "give them as options, or run it on a terminal to be asked"});
    return kUsage;
  }
  const std::string text = SpecText(o);
  if (const auto parsed = spec::ParseSpec(text, {.file_name = o.path}); !parsed) {
    console.Complain(parsed.error());
    return kValidation;
  }
  if (Status written = WriteFileAtomically(o.path, text); !written) {
    return console.Complain(written.error());
  }
  if (console.json()) {
    console.OutJson({{"path", o.path}});
  } else {
    console.Out(o.path);
    console.Note("look at it, then: tutti submit " + o.path + " --dry-run");
  }
  return kOk;
}

}  // namespace tutti::cli
