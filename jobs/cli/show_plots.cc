// `tutti show --plot`: a job's curves in the terminal.
#include <algorithm>

#include "jobs/cli/commands.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/plot.h"
#include "jobs/cli/text.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

constexpr int kUsualWidth = 80;

bool IsWanted(const std::string& name, const ShowOptions& options) {
  if (options.curves.empty()) return name == "loss" || name.starts_with("eval.");
  return std::find(options.curves.begin(), options.curves.end(), name) != options.curves.end();
}

// (step, value), by step; what an attempt did again stands once, as the coordinator keeps it.
std::vector<std::pair<double, double>> PointsOf(const json& curve) {
  std::vector<std::pair<double, double>> points;
  for (const json& point : ListAt(curve, "/points")) {
    const auto step = NumberAt(point, "/step");
    const auto value = NumberAt(point, "/value");
    if (step && value) points.emplace_back(*step, *value);
  }
  std::stable_sort(points.begin(), points.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  return points;
}

std::string NamesOf(const json& curves) {
  std::string names;
  for (const json& curve : curves) names += (names.empty() ? "" : ", ") + TextAt(curve, "/name");
  return names;
}

bool HasCurve(const json& curves, const std::string& name) {
  return std::any_of(curves.begin(), curves.end(),
                     [&](const json& curve) { return TextAt(curve, "/name") == name; });
}

}  // namespace

int ShowPlots(Context& context, json job, const ShowOptions& options) {
  Console& console = context.console;
  const auto answer = context.client.Get(client::JobTarget(TextAt(job, "/id"), "/metrics"));
  if (!answer) return console.Complain(answer.error());
  const json& curves = ListAt(*answer, "/data");
  for (const std::string& wanted : options.curves) {
    if (!HasCurve(curves, wanted)) {
      return console.Complain(
          Error{ErrorCode::kNotFound, "it has no curve of this name", "--curve " + wanted,
                curves.empty() ? "curves come with its first steps" : "it has " + NamesOf(curves)});
    }
  }
  if (console.json()) {
    job["curves"] = curves;
    console.OutJson(job);
    return kOk;
  }
  const PlotOptions look{.width = console.out_width() > 0 ? console.out_width() : kUsualWidth,
                         .unicode = console.unicode(),
                         .color = console.out_color()};
  console.Out(OneLine(TextAt(job, "/name")) + "  " + TextAt(job, "/id") + "  " +
              TextAt(job, "/state"));
  bool any = false;
  for (const json& curve : curves) {
    const std::string name = TextAt(curve, "/name");
    if (!IsWanted(name, options)) continue;
    const std::string text = RenderPlot(OneLine(name), PointsOf(curve), look);
    if (text.empty()) continue;
    console.OutRaw("\n" + text);
    any = true;
  }
  if (!any) console.Note("it has no curves yet: they come with its first steps");
  return kOk;
}

}  // namespace tutti::cli
