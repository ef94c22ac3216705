#include <cstdio>
#include <iostream>
#include <limits>

#include "worker/engine/classifier.h"
#include "worker/engine/request.h"
#include "worker/engine/tools.h"
#include "worker/engine/writer.h"
#include "worker/model/adapter_files.h"

namespace tutti::engine {

using nlohmann::json;

namespace {

Result<json> Classify(const std::string& directory, const std::vector<std::string>& texts,
                      std::optional<std::int64_t> top_k) {
  TUTTI_ASSIGN_OR_RETURN(Classifier classifier, Classifier::Load({.directory = directory}));
  json results = json::array();
  for (const std::string& text : texts) {
    const auto limit =
        static_cast<std::size_t>(top_k.value_or(std::numeric_limits<std::int64_t>::max()));
    TUTTI_ASSIGN_OR_RETURN(const std::vector<LabelScore> scores, classifier.Classify(text, limit));
    json answers = json::array();
    for (const LabelScore& one : scores) {
      answers.push_back({{"label", one.label}, {"score", one.score}});
    }
    results.push_back(std::move(answers));
  }
  return json{{"results", std::move(results)}};
}

// A line of its own for what an answer has grown by, on stdout at once.
Status TellPiece(std::size_t answer, const std::string& text) {
  const json piece = {{"piece", {{"answer", answer}, {"text", text}}}};
  std::cout << piece.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
  if (std::cout) return {};
  return Fail(ErrorCode::kUnavailable, "nobody reads the answer any more", "stdout");
}

Result<json> Continue(const std::string& directory, const std::vector<std::string>& texts,
                      const json& generation, const OnText& on_text) {
  TUTTI_ASSIGN_OR_RETURN(const WriteOptions options, ReadGeneration(generation));
  TUTTI_ASSIGN_OR_RETURN(Writer writer, Writer::Load(directory));
  TUTTI_ASSIGN_OR_RETURN(const auto written, writer.Write(texts, options, on_text));
  json results = json::array();
  for (const std::vector<WrittenText>& of_text : written) {
    json answers = json::array();
    for (const WrittenText& one : of_text) {
      answers.push_back({{"text", one.text}, {"tokens", one.tokens}, {"ended", one.ended}});
    }
    results.push_back(std::move(answers));
  }
  return json{{"results", std::move(results)}};
}

// One answer as a person reads it.
void Print(const json& answer) {
  if (answer.contains("text")) {
    std::printf("%s\n", answer["text"].get_ref<const std::string&>().c_str());
  } else {
    std::printf("  %6.2f %%  %s\n", answer["score"].get<double>() * 100,
                answer["label"].get_ref<const std::string&>().c_str());
  }
}

}  // namespace

Result<json> Try(const json& request) {
  TUTTI_ASSIGN_OR_RETURN(const std::string directory, RequiredText(request, "model_dir"));
  TUTTI_ASSIGN_OR_RETURN(const std::vector<std::string> texts, RequiredTexts(request, "texts"));
  TUTTI_ASSIGN_OR_RETURN(const auto top_k, OptionalCount(request, "top_k"));
  TUTTI_ASSIGN_OR_RETURN(const model::ModelConfig config, model::ReadConfigOf(directory));
  if (config.head == model::Head::kClassification) return Classify(directory, texts, top_k);
  const auto generation = request.find("generation");
  const bool given = generation != request.end() && !generation->is_null();
  const bool stream = request.value("stream", json(false)) == true;
  return Continue(directory, texts, given ? *generation : json::object(),
                  stream ? OnText(TellPiece) : OnText());
}

int TryByHand(const TryArguments& arguments) {
  std::vector<std::string> texts = arguments.texts;
  if (texts.empty()) {
    for (std::string line; std::getline(std::cin, line);) texts.push_back(line);
  }
  const Result<json> answer = Try({{"model_dir", arguments.model},
                                   {"texts", texts},
                                   {"top_k", arguments.top_k},
                                   {"generation", arguments.generation}});
  if (arguments.json || !answer) return WriteByHand(answer, arguments.json);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::printf("%s\n", texts[i].c_str());
    for (const json& one : (*answer)["results"][i]) Print(one);
  }
  std::fflush(stdout);
  return kExitOk;
}

}  // namespace tutti::engine
