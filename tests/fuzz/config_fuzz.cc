// Any bytes as a model's config.json: refused with a bounded message, or sizes that a model can
// have.

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/check.h"
#include "tests/fuzz/fuzz_target.h"
#include "worker/model/bert_config.h"
#include "worker/model/config.h"

namespace tutti::model {
namespace {

void CheckError(const Error& error) {
  TUTTI_CHECK(error.ToString().size() < 2048, error.ToString().size(), " bytes of problem");
  TUTTI_CHECK(error.where == "config.json", "no place: ", error.ToString());
}

void Run(std::string_view text) {
  const auto config = ParseModelConfig(std::string(text), "config.json");
  if (!config) return CheckError(config.error());
  TUTTI_CHECK(!config->labels.empty() && config->labels.size() <= 100'000, config->labels.size(),
              " labels");
  const auto bert = ParseBertConfig(*config);
  if (!bert) return CheckError(bert.error());
  TUTTI_CHECK(bert->hidden > 0 && bert->heads > 0 && bert->hidden % bert->heads == 0,
              "hidden size");
  TUTTI_CHECK(bert->layers > 0 && bert->layers <= 1024, bert->layers, " layers");
  TUTTI_CHECK(bert->padding_id >= -1 && bert->padding_id < bert->vocabulary, "padding");
  for (const float dropout :
       {bert->hidden_dropout, bert->attention_dropout, bert->classifier_dropout}) {
    TUTTI_CHECK(dropout >= 0 && dropout < 1, "dropout ", dropout);
  }
}

}  // namespace
}  // namespace tutti::model

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0) tutti::model::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
