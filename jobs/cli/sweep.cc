// `tutti sweep submit|show|list`: many trials of one spec.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "common/httpclient/http.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/inputs.h"
#include "jobs/cli/job_text.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/spec_file.h"
#include "jobs/cli/table.h"
#include "jobs/cli/text.h"
#include "jobs/spec/name.h"
#include "jobs/spec/parse.h"

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t kTrialsMax = 1000;
constexpr Duration kSweepRetry = std::chrono::seconds(20);

// ---- which trials ------------------------------------------------------------------------------

// How many combinations of values there are; kTrialsMax² at most is told apart from more.
std::uint64_t Combinations(const spec::SweepSpec& sweep) {
  std::uint64_t all = 1;
  for (const auto& [path, values] : sweep.parameters) {
    all *= values.size();
    if (all > kTrialsMax * kTrialsMax) return all;
  }
  return all;
}

// Which of the combinations are tried, ascending: all of them, the first ones of a grid, or as many
// drawn without repetition by the spec's seed.
std::vector<std::uint64_t> Chosen(const spec::SweepSpec& sweep, std::uint64_t all,
                                  std::int64_t seed) {
  const auto most = static_cast<std::uint64_t>(sweep.max_trials.value_or(kTrialsMax));
  const std::uint64_t count = std::min({all, most, kTrialsMax});
  std::set<std::uint64_t> chosen;
  std::mt19937_64 random(static_cast<std::uint64_t>(seed));
  while (chosen.size() < count) {
    const bool drawn = sweep.method != spec::SweepMethod::kGrid && count < all;
    chosen.insert(drawn ? random() % all : chosen.size());
  }
  return {chosen.begin(), chosen.end()};
}

// The values of combination `index`; the last parameter changes fastest.
json ParametersOf(const spec::SweepSpec& sweep, std::uint64_t index) {
  json parameters = json::object();
  for (auto it = sweep.parameters.rbegin(); it != sweep.parameters.rend(); ++it) {
    parameters[it->first] = it->second[index % it->second.size()];
    index /= it->second.size();
  }
  return parameters;
}

// "rates-07" of 12.
std::string TrialName(const std::string& name, std::size_t number, std::size_t of) {
  std::string digits = std::to_string(number);
  digits.insert(0, std::to_string(of).size() - digits.size(), '0');
  return name.substr(0, spec::kNameMax - 1 - digits.size()) + "-" + digits;
}

// ---- submitting --------------------------------------------------------------------------------

// Resolves and uploads what specs read, each file once.
class InputFinder {
 public:
  InputFinder(Context& context, const SpecFile& file) : context_(context), file_(file) {}

  client::Answer<void> Find(spec::JobSpec& job, const std::vector<std::string>& sets) {
    const std::string key = job.model + "\n" + job.data.train + "\n" + job.data.eval.value_or("") +
                            "\n" + job.resume_from.value_or("");
    const auto known = found_.find(key);
    if (known != found_.end()) {
      job.inputs = known->second;
      return {};
    }
    auto resolved =
        ResolveInputs(job, file_.base, PlacesIn(file_.text, file_.shown, sets), context_.client);
    if (!resolved) return tl::unexpected(resolved.error());
    if (const auto sent = Upload(context_.client, resolved->files); !sent) {
      return tl::unexpected(sent.error());
    }
    job.inputs = found_[key] = std::move(resolved->inputs);
    return {};
  }

 private:
  Context& context_;
  const SpecFile& file_;
  std::map<std::string, spec::Inputs> found_;
};

// One trial: the spec with its values set, as if by --set.
client::Answer<json> MakeTrial(InputFinder& inputs, const SpecFile& file,
                               std::vector<std::string> sets, const json& parameters,
                               const std::string& name) {
  for (const auto& [path, value] : parameters.items()) sets.push_back(path + "=" + value.dump());
  sets.push_back("name=" + json(name).dump());
  auto parsed = spec::ParseSpec(file.text, {.file_name = file.shown, .sets = sets});
  if (!parsed) return tl::unexpected(parsed.error());
  if (const auto found = inputs.Find(parsed->job, sets); !found) {
    return tl::unexpected(found.error());
  }
  return json{{"parameters", parameters}, {"spec", spec::ToJson(parsed->job)}};
}

// ---- showing -----------------------------------------------------------------------------------

// "learning_rate 0.0001, seed 2": the last part of each path tells them apart.
std::string ParametersText(const json& parameters) {
  std::string text;
  for (const auto& [path, value] : parameters.items()) {
    const std::size_t dot = path.rfind('.');
    text += (text.empty() ? "" : ", ") + path.substr(dot == std::string::npos ? 0 : dot + 1) + " " +
            (value.is_string() ? OneLine(value.get<std::string>()) : Dump(value));
  }
  return text;
}

std::string StepOf(const json& trial) {
  const std::string step = TextAt(trial, "/step");
  const std::string total = TextAt(trial, "/total_steps");
  if (step.empty()) return "";
  return total.empty() ? step : step + "/" + total;
}

void Render(Console& console, const json& sweep) {
  std::vector<Row> rows;
  const std::string best = TextAt(sweep, "/best/trial");
  for (const json& trial : ListAt(sweep, "/trials")) {
    const std::string state = TextAt(trial, "/state");
    const std::string reason = TextAt(trial, "/reason");
    const auto value = NumberAt(trial, "/value");
    const std::string number = TextAt(trial, "/trial");
    rows.push_back({(number == best ? "* " : "") + number, TextAt(trial, "/job"),
                    Cell(reason.empty() ? state : state + ": " + reason, PaintOfState(state)),
                    StepOf(trial), value ? Number(*value) : std::string(),
                    ParametersText(At(trial, "/parameters"))});
  }
  std::string metric = TextAt(sweep, "/metric");
  std::transform(metric.begin(), metric.end(), metric.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  console.OutRaw(RenderTable({{"TRIAL", true},
                              {"JOB"},
                              {"STATE", false, 10},
                              {"STEP", true},
                              {metric.empty() ? "VALUE" : metric.c_str(), true},
                              {"PARAMETERS", false, 20}},
                             rows, console.out_width(), console.out_color()));
  console.Note(TextAt(sweep, "/id") + " (" + OneLine(TextAt(sweep, "/name")) + ", " +
               TextAt(sweep, "/method") + "): " + TextAt(sweep, "/finished") + " of " +
               TextAt(sweep, "/of") + " trials have ended");
  if (!best.empty()) {
    console.Note("best: trial " + best + ", " + TextAt(sweep, "/metric") + " " +
                 Number(NumberAt(sweep, "/best/value").value_or(0)) + " with " +
                 ParametersText(At(sweep, "/best/parameters")) + " (" + TextAt(sweep, "/best/job") +
                 ")");
  }
}

void Show(Console& console, const json& sweep) {
  if (console.json()) return console.OutJson(sweep);
  if (!console.quiet()) return Render(console, sweep);
  for (const json& trial : ListAt(sweep, "/trials")) console.Out(TextAt(trial, "/job"));
}

}  // namespace

int SweepSubmit(Context& context, const SubmitOptions& options) {
  Console& console = context.console;
  const auto file = ReadSpecFile(context, options.spec);
  if (!file) {
    console.Complain(file.error());
    return file.error().code == ErrorCode::kTooLarge ? kValidation : kUsage;
  }
  const auto base = spec::ParseSpec(file->text, {.file_name = file->shown, .sets = options.sets});
  if (!base) {
    console.Complain(base.error());
    return kValidation;
  }
  if (!base->sweep) {
    console.Complain(Error{ErrorCode::kInvalid, "has no `sweep` section", file->shown,
                           "run it as one job: tutti submit " + file->shown});
    return kValidation;
  }
  const spec::SweepSpec& sweep = *base->sweep;
  const std::uint64_t all = Combinations(sweep);
  if (all > kTrialsMax && !sweep.max_trials) {
    console.Complain(
        Error{ErrorCode::kInvalid,
              "its parameters have more than " + std::to_string(kTrialsMax) + " combinations",
              file->shown, "write sweep.max_trials, or fewer values"});
    return kValidation;
  }
  const std::vector<std::uint64_t> chosen = Chosen(sweep, all, base->job.training.seed);
  if (chosen.size() < all) {
    console.Note("note: " + std::to_string(chosen.size()) + " of " + std::to_string(all) +
                 " combinations are tried (sweep.max_trials)");
  }
  InputFinder inputs(context, *file);
  json body = {{"name", base->job.name},
               {"method", spec::ToString(sweep.method)},
               {"trials", json::array()}};
  if (sweep.metric) body["metric"] = *sweep.metric;
  if (sweep.mode) body["mode"] = spec::ToString(*sweep.mode);
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    auto trial = MakeTrial(inputs, *file, options.sets, ParametersOf(sweep, chosen[i]),
                           TrialName(base->job.name, i + 1, chosen.size()));
    if (!trial) {
      const int code = console.Complain(trial.error());
      console.Note("of trial " + std::to_string(i + 1) + ": " +
                   ParametersText(ParametersOf(sweep, chosen[i])));
      return code;
    }
    body["trials"].push_back(std::move(*trial));
  }
  const auto made = context.client.Post("/api/v1/sweeps", body,
                                        {.retry_for = kSweepRetry, .idempotency_key = NewKey()});
  if (!made) return console.Complain(made.error());
  if (console.json() || console.quiet()) {
    Show(console, *made);
    return kOk;
  }
  const std::string id = TextAt(*made, "/id");
  console.Out(id + "  " + TextAt(*made, "/name") + "  " + TextAt(*made, "/of") + " trials");
  console.Note("look at it: tutti sweep show " + id);
  return kOk;
}

int SweepShow(Context& context, const std::string& sweep) {
  const auto shown = context.client.Get("/api/v1/sweeps/" + httpclient::EncodeSegment(sweep));
  if (!shown) return context.console.Complain(shown.error());
  Show(context.console, *shown);
  return kOk;
}

int SweepList(Context& context) {
  Console& console = context.console;
  const auto sweeps = context.client.Get("/api/v1/sweeps");
  if (!sweeps) return console.Complain(sweeps.error());
  if (console.json()) {
    console.OutJson(*sweeps);
    return kOk;
  }
  std::vector<Row> rows;
  for (const json& sweep : ListAt(*sweeps, "/data")) {
    if (console.quiet()) console.Out(TextAt(sweep, "/id"));
    rows.push_back({TextAt(sweep, "/id"), OneLine(TextAt(sweep, "/name")), TextAt(sweep, "/method"),
                    TextAt(sweep, "/finished") + "/" + TextAt(sweep, "/of"),
                    TextAt(sweep, "/submitted_at")});
  }
  if (console.quiet()) return kOk;
  console.OutRaw(RenderTable(
      {{"SWEEP"}, {"NAME", false, 12}, {"METHOD"}, {"ENDED", true}, {"SUBMITTED", false, 0, 1}},
      rows, console.out_width(), console.out_color()));
  return kOk;
}

}  // namespace tutti::cli
