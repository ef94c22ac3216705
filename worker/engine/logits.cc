#include <ATen/core/Tensor.h>

#include <cstdio>

#include "worker/engine/request.h"
#include "worker/engine/tools.h"
#include "worker/engine/writer.h"
#include "worker/model/language_model.h"

namespace tutti::engine {
namespace {

using nlohmann::json;

Result<json> LogitsAfter(Writer& writer, const std::string& text) {
  TUTTI_ASSIGN_OR_RETURN(const text::Encoding encoding, writer.tokenizer().Encode(text));
  model::Continuation whole{.tokens = {encoding.ids.begin(), encoding.ids.end()}};
  if (whole.tokens.empty()) return Fail(ErrorCode::kInvalid, "the text has no tokens");
  model::LanguageModel& language = *writer.model().language();
  model::KeyValueCache cache =
      language.MakeCache(1, static_cast<std::int64_t>(whole.tokens.size()));
  TUTTI_ASSIGN_OR_RETURN(const at::Tensor logits, language.Extend({&whole, 1}, cache));
  const std::span<const float> values(logits.data_ptr<float>(),
                                      static_cast<std::size_t>(logits.numel()));
  return json{{"ids", encoding.ids}, {"logits", std::vector<float>(values.begin(), values.end())}};
}

}  // namespace

int LogitsByHand(const LogitsArguments& arguments) {
  Result<Writer> writer = Writer::Load(arguments.model);
  if (!writer) return WriteByHand(Fail(writer.error()), /*as_json=*/true);
  for (const std::string& text : arguments.texts) {
    const Result<json> logits = LogitsAfter(*writer, text);
    if (!logits) return WriteByHand(logits, /*as_json=*/true);
    std::printf("%s\n", logits->dump().c_str());
  }
  return kExitOk;
}

}  // namespace tutti::engine
