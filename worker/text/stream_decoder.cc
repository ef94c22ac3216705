#include "worker/text/stream_decoder.h"

#include <span>
#include <string_view>

namespace tutti::text {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

}  // namespace

// As text-generation-inference streams: the difference that the new ids make to the text of the few
// before them. A text that ends in U+FFFD may still become another.
Result<std::string> StreamDecoder::Rest(bool all) {
  const std::span<const std::uint32_t> ids(ids_);
  TUTTI_ASSIGN_OR_RETURN(
      const std::string before,
      tokenizer_->Decode(ids.subspan(context_, given_ - context_), skip_special_));
  TUTTI_ASSIGN_OR_RETURN(const std::string text,
                         tokenizer_->Decode(ids.subspan(context_), skip_special_));
  if (!all && text.ends_with(kReplacement)) return std::string();
  if (text.size() <= before.size()) {
    if (all) given_ = ids_.size();
    return std::string();
  }
  context_ = given_;
  given_ = ids_.size();
  return text.substr(before.size());
}

Result<std::string> StreamDecoder::Next(std::uint32_t id, bool last) {
  ids_.push_back(id);
  return Rest(/*all=*/last);
}

Result<std::string> StreamDecoder::Finish() {
  if (given_ == ids_.size()) return std::string();
  return Rest(/*all=*/true);
}

}  // namespace tutti::text
