// Finished models: looking, trying, measuring.
#include <algorithm>
#include <istream>
#include <optional>
#include <utility>

#include "common/base/units.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/inputs.h"
#include "jobs/cli/job_text.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/local_model.h"
#include "jobs/cli/model_folder.h"
#include "jobs/cli/table.h"
#include "jobs/cli/text.h"
#include "jobs/cli/try_stream.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

constexpr std::size_t kTextsAtOnce = 64;
constexpr std::size_t kStreamedMax = 8;
constexpr Duration kToolTimeout = std::chrono::minutes(11);

std::int64_t SizeOf(const json& model) {
  std::int64_t size = 0;
  for (const json& file : ListAt(model, "/files")) size += IntAt(file, "/size_bytes").value_or(0);
  return size;
}

// Asks a folder of this machine, or (without) a model of the cluster.
client::Answer<json> TryTexts(Context& context, const TryOptions& options, const LocalModel* folder,
                              const std::vector<std::string>& texts) {
  if (folder != nullptr) return folder->Ask(context, "try", TryBody(options, texts));
  return context.client.Post(client::ModelTarget(options.model, "/try"), TryBody(options, texts),
                             {.timeout = kToolTimeout});
}

// Whether a person reads along: then each text is asked for alone, and shown as it is written.
bool Streams(const Console& console, const TryOptions& options,
             const std::vector<std::string>& texts) {
  if (console.json() || console.quiet()) return false;
  return options.stream || (console.out_terminal() && texts.size() <= kStreamedMax);
}

// Asks for the texts and prints (or, for --json, collects) the answers.
int TryAndPrint(Context& context, const TryOptions& options, const LocalModel* folder,
                const std::vector<std::string>& texts, json& results) {
  if (folder == nullptr && Streams(context.console, options, texts)) {
    for (const std::string& text : texts) {
      if (const int exit = TryStreaming(context, options, text); exit != kOk) return exit;
    }
    return kOk;
  }
  for (std::size_t at = 0; at < texts.size(); at += kTextsAtOnce) {
    const std::size_t end = std::min(texts.size(), at + kTextsAtOnce);
    const std::vector<std::string> some(texts.begin() + static_cast<std::ptrdiff_t>(at),
                                        texts.begin() + static_cast<std::ptrdiff_t>(end));
    const auto answer = TryTexts(context, options, folder, some);
    if (!answer) return context.console.Complain(answer.error());
    const json& list = ListAt(*answer, "/results");
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (context.console.json()) {
        results.push_back(list[i]);
      } else if (context.console.quiet()) {
        const bool written = !list[i].empty() && list[i][0].contains("text");
        context.console.Out(list[i].empty() ? ""
                                            : TextAt(list[i][0], written ? "/text" : "/label"));
      } else {
        const std::string text = i < some.size() ? OneLine(some[i]) : "";
        context.console.Out(Painted(text, Paint::kBold, context.console.out_color()));
        context.console.OutRaw(AnswerText(list[i], context.console.out_color()));
      }
    }
  }
  return kOk;
}

client::Answer<json> EvalFolder(Context& context, const std::string& model,
                                const std::string& data) {
  const auto folder = LocalModel::Find(context, model);
  if (!folder) return tl::unexpected(folder.error());
  return folder->Ask(context, "eval", {{"data_path", data}});
}

client::Answer<json> EvalOnCluster(Context& context, const std::string& model,
                                   const std::string& data, const LocalFile& file) {
  if (const auto uploaded = Upload(context.client, {file}); !uploaded) {
    return tl::unexpected(uploaded.error());
  }
  const json body = {{"data",
                      {{"path", std::filesystem::path(data).filename().string()},
                       {"digest", file.digest},
                       {"size_bytes", file.size_bytes}}}};
  return context.client.Post(client::ModelTarget(model, "/eval"), body, {.timeout = kToolTimeout});
}

}  // namespace

int ModelList(Context& context) {
  const auto models = context.client.Get("/api/v1/models");
  if (!models) return context.console.Complain(models.error());
  Console& console = context.console;
  if (console.json()) {
    console.OutJson(*models);
    return kOk;
  }
  std::vector<Row> rows;
  for (const json& model : ListAt(*models, "/data")) {
    if (console.quiet()) {
      console.Out(TextAt(model, "/id"));
      continue;
    }
    rows.push_back({OneLine(TextAt(model, "/id")), OneLine(TextAt(model, "/name")),
                    TextAt(model, "/task"), MetricsText(At(model, "/metrics")),
                    FormatBytes(Bytes{SizeOf(model)}),
                    Age(TextAt(model, "/created_at"), WallNow())});
  }
  if (console.quiet()) return kOk;
  if (rows.empty()) {
    console.Note("no models yet; a job that succeeds makes one");
  } else {
    console.OutRaw(RenderTable({{"MODEL", false, 12},
                                {"JOB", false, 12},
                                {"TASK", false, 0, 2},
                                {"METRICS", false, 12, 3},
                                {"SIZE", true, 0, 1},
                                {"AGE", true, 0, 4}},
                               rows, console.out_width(), console.out_color()));
  }
  return kOk;
}

int ModelShow(Context& context, const std::string& name) {
  const auto model = context.client.Get(client::ModelTarget(name));
  if (!model) return context.console.Complain(model.error());
  Console& console = context.console;
  if (console.json()) {
    console.OutJson(*model);
    return kOk;
  }
  if (console.quiet()) {
    console.Out(TextAt(*model, "/id"));
    return kOk;
  }
  console.OutRaw(RenderFields({{"model", TextAt(*model, "/id")},
                               {"job", TextAt(*model, "/job") + "  " + TextAt(*model, "/name")},
                               {"task", TextAt(*model, "/task")},
                               {"base", OneLine(TextAt(*model, "/base"))},
                               {"metrics", MetricsText(At(*model, "/metrics"))},
                               {"created", TextAt(*model, "/created_at")},
                               {"path", TextAt(*model, "/path")},
                               {"digest", TextAt(*model, "/digest")}},
                              console.out_color()));
  std::vector<Row> rows;
  for (const json& file : ListAt(*model, "/files")) {
    rows.push_back({OneLine(TextAt(file, "/path")),
                    FormatBytes(Bytes{IntAt(file, "/size_bytes").value_or(0)}),
                    TextAt(file, "/digest")});
  }
  console.OutRaw("\n" + RenderTable({{"FILE"}, {"SIZE", true}, {"DIGEST", false, 16, 1}}, rows,
                                    console.out_width(), console.out_color()));
  return kOk;
}

int ModelTry(Context& context, const TryOptions& options) {
  Console& console = context.console;
  if (options.stream && (console.json() || console.quiet())) {
    console.Complain(Error{ErrorCode::kInvalid,
                           "--stream is for reading along: not with --json or -q", "model try",
                           "ask POST /api/v1/models/MODEL/try with \"stream\": true for events"});
    return kUsage;
  }
  std::optional<LocalModel> local;
  if (LooksLikePath(options.model)) {
    auto found = LocalModel::Find(context, options.model);
    if (!found) return console.Complain(found.error());
    local.emplace(*std::move(found));
  }
  const LocalModel* const folder = local ? &*local : nullptr;
  json results = json::array();
  int exit = kOk;
  if (!options.texts.empty()) {
    exit = TryAndPrint(context, options, folder, options.texts, results);
  } else if (console.in_terminal() && !console.json()) {
    // A conversation: an answer after each line.
    console.Note("one text a line; Ctrl-D ends");
    std::string line;
    while (exit == kOk && std::getline(console.in(), line)) {
      if (!line.empty()) exit = TryAndPrint(context, options, folder, {line}, results);
    }
  } else {
    std::vector<std::string> texts;
    for (std::string line; std::getline(console.in(), line);) texts.push_back(line);
    if (texts.empty()) {
      console.Complain(Error{ErrorCode::kInvalid, "no text: stdin is empty", "model try",
                             "give texts as arguments or one a line on stdin"});
      return kUsage;
    }
    exit = TryAndPrint(context, options, folder, texts, results);
  }
  if (exit == kOk && console.json()) console.OutJson({{"results", results}});
  return exit;
}

int ModelEval(Context& context, const std::string& model, const std::string& data) {
  const auto file = HashFile(data);
  if (!file) {
    context.console.Complain(file.error());
    return kUsage;
  }
  const auto metrics = LooksLikePath(model) ? EvalFolder(context, model, data)
                                            : EvalOnCluster(context, model, data, *file);
  if (!metrics) return context.console.Complain(metrics.error());
  Console& console = context.console;
  if (console.json()) {
    console.OutJson(*metrics);
    return kOk;
  }
  std::vector<std::pair<std::string, std::string>> fields;
  for (const auto& [name, value] : metrics->items()) {
    if (value.is_number_integer())
      fields.emplace_back(OneLine(name), Count(value.get<std::int64_t>()));
    if (value.is_number_float()) fields.emplace_back(OneLine(name), Number(value.get<double>(), 6));
  }
  console.OutRaw(RenderFields(fields, console.out_color()));
  return kOk;
}

}  // namespace tutti::cli
