#include "jobs/cli/export_runs.h"

#include <algorithm>
#include <map>
#include <utility>

#include "common/digest/sha256.h"
#include "common/file/file.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/mlruns.h"
#include "jobs/cli/text.h"
#include "monitoring/tensorboard/event.h"
#include "monitoring/tensorboard/record.h"

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;
using client::Answer;
using nlohmann::json;

constexpr int kPointsMax = 10'000;  // of a curve, in one answer
constexpr Duration kTimeout = std::chrono::minutes(2);
constexpr std::size_t kRunIdDigits = 32;

struct Told {
  json job;
  json spec;
  json curves;  // [{"name", "points"}]
};

Answer<Told> Fetch(Context& context, const std::string& name) {
  Told told;
  auto job = context.client.Get(client::JobTarget(name));
  if (!job) return tl::unexpected(job.error());
  told.job = std::move(*job);
  const std::string id = TextAt(told.job, "/id");
  auto spec = context.client.Get(client::JobTarget(id, "/spec"));
  if (!spec) return tl::unexpected(spec.error());
  told.spec = std::move(*spec);
  auto curves =
      context.client.Get(client::JobTarget(id, "/metrics?points=" + std::to_string(kPointsMax)),
                         {.timeout = kTimeout});
  if (!curves) return tl::unexpected(curves.error());
  told.curves = ListAt(*curves, "/data");
  return told;
}

WallTime TimeAt(const json& value, const char* pointer) {
  return ParseRfc3339(TextAt(value, pointer)).value_or(WallTime{});
}

// The model's card; "" when there is no model, or none with one.
Answer<std::string> CardOf(Context& context, const json& job) {
  const std::string model = TextAt(job, "/result/model");
  if (model.empty()) return std::string();
  const auto response =
      context.client.Send({.target = client::ModelTarget(model, "/files/README.md")});
  if (!response) return client::Fails(response.error());
  if (response->status == 404) return std::string();
  if (response->status != 200) {
    return tl::unexpected<client::Errors>(client::ErrorsOf(*response, "README.md"));
  }
  return response->body;
}

// Objects as dotted names, the rest as JSON writes it, texts without quotes.
void Flatten(const std::string& prefix, const json& value,
             std::map<std::string, std::string>& out) {
  if (value.is_object() && !value.empty()) {
    for (const auto& [key, below] : value.items()) {
      Flatten(prefix.empty() ? key : prefix + "." + key, below, out);
    }
  } else if (value.is_string()) {
    out[prefix] = value.get<std::string>();
  } else if (!value.is_null()) {
    out[prefix] = Dump(value);
  }
}

MlflowStatus StatusOf(const std::string& state) {
  if (state == "succeeded") return MlflowStatus::kFinished;
  if (state == "failed") return MlflowStatus::kFailed;
  if (state == "cancelled") return MlflowStatus::kKilled;
  const bool waits = state == "validating" || state == "queued" || state == "paused";
  return waits ? MlflowStatus::kScheduled : MlflowStatus::kRunning;
}

// "eval.accuracy" is "eval_accuracy" where Transformers reports to MLflow.
std::string MetricOf(std::string name) {
  if (name.starts_with("eval.")) name[4] = '_';
  return name;
}

// What is listed and searched by; the spec itself is in the parameters.
std::map<std::string, std::string> TagsOf(const Told& told, const std::string& card) {
  std::map<std::string, std::string> tags = {{"mlflow.runName", TextAt(told.job, "/name")},
                                             {"mlflow.user", TextAt(told.job, "/user")},
                                             {"mlflow.source.name", "tutti"},
                                             {"mlflow.source.type", "JOB"}};
  const auto add = [&](const char* name, const char* pointer) {
    if (std::string text = TextAt(told.job, pointer); !text.empty()) {
      tags[name] = std::move(text);
    }
  };
  add("tutti.job", "/id");
  add("tutti.state", "/state");
  add("tutti.reason", "/reason");
  add("tutti.message", "/message");
  add("tutti.task", "/task");
  add("tutti.base_model", "/model");
  add("tutti.queue", "/queue");
  add("tutti.attempts", "/attempt");
  add("tutti.model", "/result/model");
  add("tutti.model_digest", "/result/digest");
  if (!card.empty()) tags["mlflow.note.content"] = card;
  std::map<std::string, std::string> metadata;
  Flatten("", At(told.spec, "/metadata"), metadata);
  for (const auto& [key, value] : metadata) tags["metadata." + key] = value;
  return tags;
}

MlflowRun RunOf(const Told& told, const std::string& card) {
  const std::string state = TextAt(told.job, "/state");
  MlflowRun run{.name = TextAt(told.job, "/name"),
                .user = TextAt(told.job, "/user"),
                .status = StatusOf(state),
                .started = TimeAt(told.job, "/submitted_at"),
                .tags = TagsOf(told, card)};
  run.id =
      Sha256Of("tutti run " + TextAt(told.job, "/id") + " " + TextAt(told.job, "/submitted_at"))
          .ToHex()
          .substr(0, kRunIdDigits);
  const bool ended = run.status == MlflowStatus::kFinished || run.status == MlflowStatus::kFailed ||
                     run.status == MlflowStatus::kKilled;
  if (ended) run.ended = TimeAt(told.job, "/since");
  if (const json& first = At(told.job, "/attempts/0/started_at"); first.is_string()) {
    run.started = TimeAt(told.job, "/attempts/0/started_at");
  }
  json spec = told.spec;
  spec.erase("metadata");
  Flatten("", spec, run.params);
  for (const json& curve : told.curves) {
    std::vector<MlflowPoint>& points = run.metrics[MetricOf(TextAt(curve, "/name"))];
    for (const json& point : ListAt(curve, "/points")) {
      points.push_back({.step = IntAt(point, "/step").value_or(0),
                        .at = TimeAt(point, "/at"),
                        .value = NumberAt(point, "/value").value_or(0)});
    }
  }
  for (const auto& [name, value] : At(told.job, "/result/metrics").items()) {
    if (!value.is_number()) continue;
    run.metrics["result_" + name] = {{.step = IntAt(told.job, "/progress/step").value_or(0),
                                      .at = run.ended,
                                      .value = value.get<double>()}};
  }
  run.artifacts["spec.json"] = told.spec.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
  if (!card.empty()) run.artifacts["README.md"] = card;
  return run;
}

// Values of one kind and step are one event, as they were told.
std::string EventsOf(const Told& told) {
  const WallTime submitted = TimeAt(told.job, "/submitted_at");
  std::map<std::pair<std::int64_t, bool>, tensorboard::Scalars> events;
  for (const json& curve : told.curves) {
    const std::string name = TextAt(curve, "/name");
    for (const json& point : ListAt(curve, "/points")) {
      const auto step = IntAt(point, "/step");
      const auto value = NumberAt(point, "/value");
      if (!step || !value) continue;
      tensorboard::Scalars& event = events[{*step, name.starts_with("eval.")}];
      event.at = std::max(event.at, TimeAt(point, "/at"));
      event.step = *step;
      event.values.emplace_back(tensorboard::TagOf(name), *value);
    }
  }
  const std::string spec = told.spec.dump(2, ' ', false, json::error_handler_t::replace);
  std::string bytes = tensorboard::Framed(tensorboard::VersionEvent(submitted)) +
                      tensorboard::Framed(tensorboard::TextEvent(submitted, "spec/text_summary",
                                                                 "```\n" + spec + "\n```\n"));
  for (const auto& [key, event] : events) {
    bytes += tensorboard::Framed(tensorboard::ScalarsEvent(event));
  }
  return bytes;
}

int Tell(Context& context, const Told& told, const fs::path& path, const std::string& next) {
  Console& console = context.console;
  if (console.json()) {
    console.OutJson({{"job", At(told.job, "/id")}, {"path", path.string()}});
    return kOk;
  }
  console.Out(path.string());
  if (told.curves.empty()) console.Note("it has no curves: no step of it was told, or 30 days ago");
  console.Note("look at it with: " + next);
  return kOk;
}

}  // namespace

int ExportMlflow(Context& context, const ExportOptions& options) {
  const auto told = Fetch(context, options.job);
  if (!told) return context.console.Complain(told.error());
  const auto card = CardOf(context, told->job);
  if (!card) return context.console.Complain(card.error());
  const auto folder = WriteMlflowRun(options.directory, options.experiment, RunOf(*told, *card));
  if (!folder) return context.console.Complain(client::Errors{folder.error()});
  return Tell(context, *told, *folder,
              "mlflow ui --backend-store-uri " + folder->parent_path().parent_path().string());
}

int ExportTensorboard(Context& context, const ExportOptions& options) {
  const auto told = Fetch(context, options.job);
  if (!told) return context.console.Complain(told.error());
  std::error_code error;
  const fs::path directory = fs::absolute(options.directory, error).lexically_normal();
  const fs::path folder = directory / (TextAt(told->job, "/name") + "." + TextAt(told->job, "/id"));
  const auto seconds = TimeAt(told->job, "/submitted_at").unix_ms / 1000;
  Status written = MakeDirectories(folder);
  if (written) {
    written = WriteFileAtomically(
        folder / ("events.out.tfevents." + std::to_string(seconds) + ".tutti"), EventsOf(*told));
  }
  if (!written) return context.console.Complain(client::Errors{written.error()});
  return Tell(context, *told, folder, "tensorboard --logdir " + directory.string());
}

}  // namespace tutti::cli
