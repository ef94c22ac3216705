#include "worker/text/parity.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/units.h"
#include "common/file/file.h"
#include "worker/text/chat_template.h"
#include "worker/text/tokenizer.h"

namespace tutti::text {
namespace {

namespace fs = std::filesystem;
using OrderedJson = nlohmann::ordered_json;
using Outcome = ParityCase::Outcome;

constexpr Bytes kCasesMax{256 << 20};

// "" = equal.
std::string Difference(std::string_view what, const OrderedJson& got, const OrderedJson& expected) {
  if (got == expected) return "";
  const auto clip = [](std::string text) {
    return text.size() > 200 ? text.substr(0, 200) + "…" : text;
  };
  const auto dump = [](const OrderedJson& json) {
    return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
  };
  return std::string(what) + " got=" + clip(dump(got)) + " expected=" + clip(dump(expected));
}

// Calls `check(row)` for each line of `file`; what it returns is the case's detail ("" = ok).
template <typename Check>
Status ForEachRow(const fs::path& file, const std::string& name, const ParitySink& sink,
                  const Check& check) {
  TUTTI_ASSIGN_OR_RETURN(const std::string text, ReadFile(file, kCasesMax));
  std::size_t line = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view row(text.data() + at, end - at);
    at = end + 1;
    ++line;
    const OrderedJson json = OrderedJson::parse(row, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) {
      return Fail(ErrorCode::kInvalid, "not a JSON object",
                  file.string() + ":" + std::to_string(line));
    }
    std::string detail;
    try {
      detail = check(json);
    } catch (const OrderedJson::exception& e) {
      return Fail(ErrorCode::kInvalid, e.what(), file.string() + ":" + std::to_string(line));
    }
    const Outcome outcome = detail.empty() ? Outcome::kOk : Outcome::kFail;
    sink({.name = name + ":" + std::to_string(line), .outcome = outcome, .detail = detail});
  }
  return {};
}

EncodeOptions OptionsOf(const OrderedJson& row) {
  EncodeOptions options;
  if (!row.contains("pair")) return options;
  options.add_special_tokens = row.value("add_special_tokens", true);
  if (row["pair"].is_string()) options.pair = row["pair"].get_ref<const std::string&>();
  const OrderedJson& truncation = row.at("truncation");
  if (truncation.is_null()) return options;
  options.max_length = row.at("max_length").get<std::size_t>();
  options.truncation = truncation == "only_first"    ? Truncation::kOnlyFirst
                       : truncation == "only_second" ? Truncation::kOnlySecond
                                                     : Truncation::kLongestFirst;
  return options;
}

std::string CheckTokenizerRow(const Tokenizer& tokenizer, const OrderedJson& row) {
  const std::string& text = row.at("text").get_ref<const std::string&>();
  const Result<Encoding> encoding = tokenizer.Encode(text, OptionsOf(row));
  if (row.contains("error")) {
    return encoding.has_value() ? "ids where an error was expected" : "";
  }
  if (!encoding.has_value()) return encoding.error().ToString();
  std::string detail = Difference("ids", encoding->ids, row.at("ids"));
  if (!detail.empty()) return detail;
  if (row.contains("type_ids")) {
    return Difference("type_ids", encoding->type_ids, row["type_ids"]);
  }
  const OrderedJson& decoded = row.contains("decoded") ? row["decoded"] : row["text"];
  const OrderedJson& skipped =
      row.contains("decoded_skip_special") ? row["decoded_skip_special"] : decoded;
  for (const bool skip : {false, true}) {
    const Result<std::string> got = tokenizer.Decode(encoding->ids, skip);
    if (!got.has_value()) return got.error().ToString();
    detail = Difference(skip ? "decoded_skip_special" : "decoded", *got, skip ? skipped : decoded);
    if (!detail.empty()) return detail;
  }
  return "";
}

std::string CheckChatRow(const std::string& chat_template, const OrderedJson& row) {
  const Result<RenderedChat> chat =
      RenderChat(chat_template, {.messages = row.at("messages"),
                                 .tools = row.value("tools", OrderedJson(nullptr)),
                                 .add_generation_prompt = row.value("add_generation_prompt", false),
                                 .variables = row.value("variables", OrderedJson::object())});
  if (row.contains("error")) {
    const std::string& error = row["error"].get_ref<const std::string&>();
    if (chat.has_value()) return "text where an error was expected: " + error;
    if (!error.starts_with("TemplateError")) return "";
    return Difference("error", chat.error().message, error);
  }
  if (!chat.has_value()) return chat.error().ToString();
  std::string detail = Difference("rendered", chat->text, row.at("rendered"));
  if (!detail.empty()) return detail;
  OrderedJson spans = OrderedJson::array();
  for (const ByteRange& span : chat->assistant_spans) spans.push_back({span.from, span.to});
  return Difference("assistant_spans", spans, row.value("assistant_spans", OrderedJson::array()));
}

Result<std::vector<fs::path>> FilesOf(const fs::path& folder, std::string_view extension) {
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  if (error) return Fail(ErrnoError("cannot list", folder.string(), error.value()));
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : entries) {
    if (entry.path().extension() == extension) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

TextParityKind TextParityKindOf(const fs::path& folder) {
  const auto templates = FilesOf(folder, ".jinja");
  const auto rows = FilesOf(folder, ".jsonl");
  if (!templates.has_value() || !rows.has_value() || rows->empty()) return TextParityKind::kNone;
  if (!templates->empty()) {
    return fs::exists(folder / "cases.jsonl") ? TextParityKind::kChat : TextParityKind::kNone;
  }
  for (const fs::path& file : *rows) {
    if (fs::exists(folder / file.stem() / "tokenizer.json")) return TextParityKind::kTokenizers;
  }
  return TextParityKind::kNone;
}

Status RunTokenizerParity(const fs::path& folder, const ParitySink& sink) {
  TUTTI_ASSIGN_OR_RETURN(const std::vector<fs::path> files, FilesOf(folder, ".jsonl"));
  for (const fs::path& file : files) {
    const std::string name = file.stem().string();
    fs::path tokenizer_file = folder / name / "tokenizer.json";
    if (!fs::exists(tokenizer_file)) {
      tokenizer_file = folder / ".." / ".." / "models" / name / "tokenizer.json";
    }
    if (!fs::exists(tokenizer_file)) {
      sink({.name = name,
            .outcome = Outcome::kSkip,
            .detail = "no tokenizer.json: sentencepiece models are not supported yet"});
      continue;
    }
    TUTTI_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Load(tokenizer_file));
    TUTTI_RETURN_IF_ERROR(ForEachRow(file, name, sink, [&](const OrderedJson& row) {
      return CheckTokenizerRow(tokenizer, row);
    }));
  }
  return {};
}

Status RunChatParity(const fs::path& folder, const ParitySink& sink) {
  std::map<std::string, std::string> templates;
  TUTTI_ASSIGN_OR_RETURN(const std::vector<fs::path> files, FilesOf(folder, ".jinja"));
  for (const fs::path& file : files) {
    TUTTI_ASSIGN_OR_RETURN(templates[file.stem().string()], ReadFile(file));
  }
  return ForEachRow(folder / "cases.jsonl", "chat", sink,
                    [&](const OrderedJson& row) -> std::string {
                      const auto it = templates.find(row.at("template").get<std::string>());
                      if (it == templates.end()) return "no template " + row["template"].dump();
                      return CheckChatRow(it->second, row);
                    });
}

}  // namespace tutti::text
