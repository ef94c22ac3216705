// `tutti show --samples`: what a language model answered at its evaluations.
#include <sstream>
#include <utility>

#include "jobs/cli/commands.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/table.h"
#include "jobs/cli/text.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

constexpr int kCellWidth = 60;  // where stdout is no terminal
constexpr std::size_t kTitleWidth = 12;

client::Answer<json> SamplesOf(Context& context, const json& job, const std::string& query) {
  return context.client.Get(client::JobTarget(TextAt(job, "/id"), "/samples" + query));
}

// "  answer    first line" and its other lines below it.
std::string Paragraph(const std::string& title, const std::string& text, bool color) {
  std::string out;
  std::istringstream lines(text);
  std::string head = "  " + title + std::string(kTitleWidth - 2 - title.size(), ' ');
  for (std::string line; std::getline(lines, line);) {
    out += Painted(std::exchange(head, std::string(kTitleWidth, ' ')), Paint::kDim, color) +
           OneLine(line) + "\n";
  }
  return out.empty() ? Painted("  " + title, Paint::kDim, color) + "\n" : out;
}

std::string AnswerOf(const json& sample) {
  return TextAt(sample, "/answer") + (At(sample, "/ended") == false ? " …" : "");
}

std::string RenderEvaluation(const json& evaluation, bool color) {
  std::string out = Painted("step " + TextAt(evaluation, "/step"), Paint::kBold, color) + "\n";
  for (const json& sample : ListAt(evaluation, "/samples")) {
    out += Paragraph("prompt", TextAt(sample, "/prompt"), color) +
           Paragraph("answer", AnswerOf(sample), color) +
           Paragraph("expected", TextAt(sample, "/expected"), color) + "\n";
  }
  return out;
}

}  // namespace

int ShowSamples(Context& context, json job) {
  Console& console = context.console;
  const auto answer = SamplesOf(context, job, "");
  if (!answer) return console.Complain(answer.error());
  const json& evaluations = ListAt(*answer, "/data");
  if (console.json()) {
    job["samples"] = evaluations;
    console.OutJson(job);
    return kOk;
  }
  for (const json& evaluation : evaluations) {
    console.OutRaw(RenderEvaluation(evaluation, console.out_color()));
  }
  if (evaluations.empty()) {
    console.Note(TextAt(job, "/task") == "text-generation"
                     ? "it has none yet: they come with its first evaluation (evaluation.samples)"
                     : "only jobs of text-generation have answers");
  }
  return kOk;
}

std::string NewestSamples(Context& context, const json& job) {
  if (TextAt(job, "/task") != "text-generation" || !At(job, "/eval").is_object()) return "";
  const auto answer = SamplesOf(context, job, "?limit=1");
  if (!answer || ListAt(*answer, "/data").empty()) return "";
  const json& newest = ListAt(*answer, "/data").back();
  std::vector<Row> rows;
  for (const json& sample : ListAt(newest, "/samples")) {
    const auto cell = [&](const std::string& text) {
      const std::string line = OneLine(text);
      return context.console.out_width() > 0 ? line : Fit(line, kCellWidth);
    };
    rows.push_back({cell(TextAt(sample, "/prompt")), cell(AnswerOf(sample)),
                    cell(TextAt(sample, "/expected"))});
  }
  return "\nanswers at step " + TextAt(newest, "/step") + " (--samples: all of them)\n" +
         RenderTable({{"PROMPT", false, 12}, {"ANSWER", false, 12}, {"EXPECTED", false, 12}}, rows,
                     context.console.out_width(), context.console.out_color());
}

}  // namespace tutti::cli
