// A spec from answers, flags and a look at the data.
#include <algorithm>
#include <istream>
#include <set>

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

// The column names of the first row of a JSONL, CSV or TSV file; empty when it can't be told.
std::set<std::string> ColumnsOf(const std::string& path) {
  const auto text = ReadFile(path, Bytes{std::int64_t{64} << 20});
  if (!text) return {};
  const std::string line = text->substr(0, std::min(text->find('\n'), kPeek));
  std::set<std::string> columns;
  const json row = json::parse(line, nullptr, false);
  if (row.is_object()) {
    for (const auto& [name, value] : row.items()) columns.insert(name);
    return columns;
  }
  const char separator = path.ends_with(".tsv") ? '\t' : ',';
  std::string name;
  for (const char c : line + separator) {
    if (c == separator) {
      columns.insert(name);
      name.clear();
    } else if (c != '"' && c != '\r') {
      name.push_back(c);
    }
  }
  return columns;
}

std::string GuessTask(const std::set<std::string>& columns) {
  const auto any = [&](std::initializer_list<const char*> names) {
    return std::any_of(names.begin(), names.end(),
                       [&](const char* name) { return columns.contains(name); });
  };
  if (any({"label"})) return "text-classification";
  if (any({"translation"})) return "translation";
  if (any({"summary", "highlights"})) return "summarization";
  if (any({"messages", "conversations", "prompt", "instruction", "text"})) return "text-generation";
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

// A YAML scalar: JSON's quotes are YAML's.
std::string Scalar(const std::string& text) {
  const bool plain =
      !text.empty() &&
      std::all_of(text.begin(), text.end(),
                  [](char c) {
                    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                           std::string_view("./-_").find(c) != std::string_view::npos;
                  }) &&
      std::isalpha(static_cast<unsigned char>(text[0] == '.' || text[0] == '/' ? 'a' : text[0])) !=
          0;
  return plain ? text : json(text).dump();
}

std::string SpecText(const InitOptions& o) {
  const bool fraction =
      !o.eval.empty() && o.eval.find_first_not_of("0123456789.") == std::string::npos;
  std::string text = "# Run it: tutti submit " + o.path +
                     " --follow     (every field: tutti init --schema)\n"
                     "name: " +
                     Scalar(o.name) +
                     "\n"
                     "task: " +
                     o.task +
                     "\n"
                     "model: " +
                     Scalar(o.model) +
                     "   # a Hugging Face directory, or a model of this cluster\n"
                     "data:\n"
                     "  train: " +
                     Scalar(o.train) + "\n";
  if (!o.eval.empty()) {
    text += "  eval: " + (fraction ? o.eval : Scalar(o.eval)) +
            "   # a file, or the fraction of train to keep for evaluation\n";
  }
  text +=
      "  max_length: 256\n"
      "training:\n"
      "  num_train_epochs: 3\n"
      "  global_batch_size: 32   # rows a step, however many ranks there are\n"
      "  micro_batch_size: 8\n"
      "  learning_rate: 5.0e-5\n"
      "  lr_scheduler_type: linear\n"
      "  warmup_ratio: 0.1\n"
      "  weight_decay: 0.01\n"
      "resources:\n"
      "  ranks: 1   # or {min: 1, max: 4}: powers of two, as many as there is room for\n";
  return text;
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
  need(o.eval, "--eval", "Evaluation data (a file, or a fraction of the training data)", "0.1",
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
