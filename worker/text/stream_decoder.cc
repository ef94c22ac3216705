#include "worker/text/stream_decoder.h"

#include <algorithm>
#include <span>

namespace tutti::text {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

std::string ByteToken(unsigned byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return {'<', '0', 'x', kDigits[byte / 16], kDigits[byte % 16], '>'};
}

// How far both are the same whole characters.
std::size_t CommonCharacters(std::string_view a, std::string_view b) {
  auto size = static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
  const auto continues = [&a](std::size_t at) {
    return at < a.size() && (static_cast<unsigned char>(a[at]) & 0xC0U) == 0x80U;
  };
  while (size > 0 && continues(size)) --size;
  return size;
}

}  // namespace

// Two kinds of tokenizers have tokens of single bytes. With byte fallback a run of such tokens is
// characters when all of it is UTF-8, else each is a U+FFFD: whatever a run means is open to its
// end. At byte level a character is what its own bytes are: only the last one is open.
StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(&tokenizer), skip_special_(skip_special) {
  const auto letter = ProbeOf(ByteToken('A'), "A");
  const auto continuation = ProbeOf(ByteToken(0x80), kReplacement);
  if (letter && continuation) {
    probes_ = {*letter, *continuation};
    for (unsigned byte = 0; byte < 256; ++byte) {
      if (const auto id = tokenizer.IdOf(ByteToken(byte))) byte_tokens_.push_back(*id);
    }
    std::ranges::sort(byte_tokens_);
    return;
  }
  // Bytes 0x80 and 0xA0: whatever a character lacks, it goes on with one of them.
  const auto low = ProbeOf("\u0122", kReplacement);
  const auto high = ProbeOf("\u0142", kReplacement);
  if (low && high) probes_ = {*low, *high};
}

// Nullopt: the tokenizer has no such token, or it means another text.
std::optional<StreamDecoder::Probe> StreamDecoder::ProbeOf(std::string_view token,
                                                           std::string_view adds) const {
  const std::optional<std::uint32_t> id = tokenizer_->IdOf(token);
  if (!id) return std::nullopt;
  const auto text = tokenizer_->Decode({&*id, 1}, skip_special_);
  if (!text || *text != adds) return std::nullopt;
  return Probe{.id = *id, .adds = adds};
}

// Whether tokens that may follow only add to `text`, which is that of the tokens from the context.
Result<bool> StreamDecoder::IsFinal(const std::string& text) {
  if (byte_tokens_.empty()) {
    if (!text.ends_with(kReplacement)) return true;
    if (probes_.empty()) return false;
  }
  for (const Probe& probe : probes_) {
    ids_.push_back(probe.id);
    const auto longer =
        tokenizer_->Decode(std::span<const std::uint32_t>(ids_).subspan(context_), skip_special_);
    ids_.pop_back();
    if (!longer) return Fail(longer.error());
    if (longer->size() != text.size() + probe.adds.size() || !longer->starts_with(text) ||
        !longer->ends_with(probe.adds)) {
      return false;
    }
  }
  return true;
}

// As text-generation-inference streams: the difference that the new ids make to the text of the few
// before them.
Result<std::string> StreamDecoder::Rest(bool all) {
  const std::span<const std::uint32_t> ids(ids_);
  TUTTI_ASSIGN_OR_RETURN(
      const std::string before,
      tokenizer_->Decode(ids.subspan(context_, given_ - context_), skip_special_));
  TUTTI_ASSIGN_OR_RETURN(const std::string text,
                         tokenizer_->Decode(ids.subspan(context_), skip_special_));
  if (!all) {
    TUTTI_ASSIGN_OR_RETURN(const bool is_final, IsFinal(text));
    if (!is_final) return std::string();
  }
  if (text.size() <= before.size()) {
    if (all) given_ = ids_.size();
    return std::string();
  }
  context_ = given_;
  given_ = ids_.size();
  return text.substr(CommonCharacters(text, before));
}

Result<std::string> StreamDecoder::Next(std::uint32_t id, bool last) {
  ids_.push_back(id);
  // A run's text is open; decoding it at each of its tokens would take time with its square.
  if (!last && std::ranges::binary_search(byte_tokens_, id)) return std::string();
  return Rest(/*all=*/last);
}

Result<std::string> StreamDecoder::Finish() {
  if (given_ == ids_.size()) return std::string();
  return Rest(/*all=*/true);
}

}  // namespace tutti::text
