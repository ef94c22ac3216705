#include "jobs/cli/try_stream.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <sstream>

#include "jobs/cli/exit_codes.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/table.h"
#include "jobs/cli/text.h"
#include "jobs/client/interrupt.h"
#include "jobs/client/sse.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

constexpr Duration kOpenTimeout = std::chrono::seconds(30);
// A stream has a heartbeat every few seconds; without one for so long nobody is there.
constexpr Duration kStreamSilence = std::chrono::seconds(30);

// "perl  ████████░░░ 0.82" a label.
std::string LabelBars(const json& labels, bool color) {
  constexpr int kBar = 24;
  int width = 0;
  for (const json& label : labels) {
    width = std::max(width, DisplayWidth(OneLine(TextAt(label, "/label"))));
  }
  std::string out;
  bool first = true;
  for (const json& label : labels) {
    const double score = std::clamp(NumberAt(label, "/score").value_or(0), 0.0, 1.0);
    const int filled = static_cast<int>(score * kBar + 0.5);
    std::string bar;
    std::string rest;
    for (int i = 0; i < kBar; ++i) (i < filled ? bar : rest) += i < filled ? "█" : "░";
    out += "  " +
           Painted(Pad(OneLine(TextAt(label, "/label")), width),
                   first ? Paint::kBold : Paint::kNone, color) +
           "  " + Painted(bar, first ? Paint::kGreen : Paint::kCyan, color) +
           Painted(rest, Paint::kDim, color) + "  " + Number(score, 3) + "\n";
    first = false;
  }
  return out;
}

class StreamedAnswer {
 public:
  StreamedAnswer(Context& context, const TryOptions& options) : context_(context) {
    color_ = context.console.out_color();
    model_ = options.model;
  }

  int Run(const json& body) {
    const client::InterruptScope interrupts;
    httpclient::Request request{
        .method = "POST",
        .target = client::ModelTarget(model_, "/try"),
        .headers = {{"Content-Type", "application/json"}, {"Accept", "text/event-stream"}},
        .body = body.dump(),
        .timeout = kOpenTimeout};
    const auto stream = context_.client.Open(std::move(request));
    if (client::Interrupted()) return kInterrupted;
    if (!stream) return context_.console.Complain(stream.error());
    if ((*stream)->head().status != 200) return Refused(**stream);
    client::EventParser parser;
    for (;;) {
      const Result<std::string> bytes = (*stream)->Read(kStreamSilence);
      if (client::Interrupted()) return Interrupted();
      if (!bytes) return Lost(bytes.error());
      if (bytes->empty()) {
        return Lost({ErrorCode::kUnavailable, "the coordinator went away during the answer", model_,
                     "try again"});
      }
      for (const client::ServerEvent& event : parser.Feed(*bytes)) {
        if (const auto exit = Take(event)) return *exit;
      }
    }
  }

 private:
  int Refused(httpclient::Incoming& stream) {
    httpclient::Response response = stream.head();
    response.body = stream.ReadAll(kOpenTimeout, Bytes{1 << 20}).value_or("");
    return context_.console.Complain(client::ErrorsOf(response, model_));
  }
  void EndLine() {
    if (!printed_.empty() && !printed_.ends_with('\n')) context_.console.OutRaw("\n");
  }
  int Interrupted() {
    EndLine();
    return kInterrupted;
  }
  int Lost(const Error& error) {
    EndLine();
    return context_.console.Complain(error);
  }
  void Print(const std::string& text) {
    printed_ += text;
    context_.console.OutRaw(Lines(text));
  }

  std::optional<int> Take(const client::ServerEvent& event) {
    const json data = json::parse(event.data, nullptr, false);
    if (!data.is_object()) return std::nullopt;
    if (event.type == "piece" && IntAt(data, "/answer") == 0) Print(TextAt(data, "/text"));
    if (event.type == "error") return Lost(client::ErrorOf(data));
    if (event.type != "done") return std::nullopt;
    const json& answers = At(data, "/results/0");
    if (!answers.is_array() || answers.empty() || !answers[0].contains("text")) {
      context_.console.OutRaw(AnswerText(answers, color_));
      return kOk;
    }
    // The answer has all of the text: beam search says no pieces, and a piece may be lost.
    const std::string whole = TextAt(answers[0], "/text");
    if (whole.starts_with(printed_)) {
      Print(whole.substr(printed_.size()));
    } else if (whole != printed_) {
      context_.console.OutRaw("\n");
      Print(whole);
    }
    EndLine();
    context_.console.OutRaw("\n");
    return kOk;
  }

  Context& context_;
  std::string model_;
  bool color_ = false;
  std::string printed_;  // as it came
};

}  // namespace

std::string AnswerText(const json& answers, bool color) {
  if (answers.empty() || !answers[0].contains("text")) return LabelBars(answers, color);
  std::string out;
  for (const json& answer : answers) {
    std::istringstream lines(TextAt(answer, "/text"));
    for (std::string line; std::getline(lines, line);) out += OneLine(line) + "\n";
    out += "\n";
  }
  return out;
}

json TryBody(const TryOptions& options, const std::vector<std::string>& texts) {
  json body = {{"texts", texts}, {"top_k", options.top_k}};
  if (!options.generation.empty()) body["generation"] = options.generation;
  return body;
}

int TryStreaming(Context& context, const TryOptions& options, const std::string& text) {
  json body = TryBody(options, {text});
  body["stream"] = true;
  context.console.Out(Painted(OneLine(text), Paint::kBold, context.console.out_color()));
  return StreamedAnswer(context, options).Run(body);
}

}  // namespace tutti::cli
