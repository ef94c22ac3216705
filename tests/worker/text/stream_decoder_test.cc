#include "worker/text/stream_decoder.h"

#include <gtest/gtest.h>

#include <string>

#include "worker/text/tokenizer.h"

namespace tutti::text {
namespace {

bool IsWholeUtf8(const std::string& text) {
  int more = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (more > 0) {
      if ((byte & 0xc0) != 0x80) return false;
      --more;
    } else if (byte >= 0xf0) {
      more = 3;
    } else if (byte >= 0xe0) {
      more = 2;
    } else if (byte >= 0xc0) {
      more = 1;
    }
  }
  return more == 0;
}

class StreamDecoderTest : public testing::TestWithParam<const char*> {
 protected:
  StreamDecoderTest()
      : tokenizer_(*Tokenizer::Load(std::string("tests/parity/cases/tokenizers/") + GetParam())) {}

  Tokenizer tokenizer_;
};

// Byte BPE (one character in several tokens), byte fallback with leading spaces, WordPiece with its
// joining of words, Unigram.
TEST_P(StreamDecoderTest, PiecesAreWholeCharactersAndTogetherTheText) {
  for (const std::string text :
       {"Hello world, how are you?", "Größe: 5 °C — 日本語のテキスト 🎉🎊 end", "a  b\n\n c\td",
        "don't stop, won't stop", "🏳️‍🌈"}) {
    const auto ids = tokenizer_.Encode(text, {.add_special_tokens = false})->ids;
    StreamDecoder decoder(tokenizer_, /*skip_special=*/true);
    std::string all;
    for (const std::uint32_t id : ids) {
      const auto piece = decoder.Next(id);
      ASSERT_TRUE(piece.has_value());
      EXPECT_TRUE(IsWholeUtf8(*piece)) << *piece;
      all += *piece;
    }
    all += *decoder.Finish();
    EXPECT_EQ(all, *tokenizer_.Decode(ids, /*skip_special=*/true));
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, StreamDecoderTest,
                         testing::Values("gpt2-tiny", "llama2-bpe", "bert-tiny", "xlmr-unigram"),
                         [](const auto& one) {
                           std::string name = one.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

TEST(StreamDecoder, HalfACharacterIsHeldBackAndGivenAtTheEnd) {
  const Tokenizer tokenizer = *Tokenizer::Load("tests/parity/cases/tokenizers/gpt2-tiny");
  auto ids = tokenizer.Encode("a🎉", {.add_special_tokens = false})->ids;
  ASSERT_GT(ids.size(), 2U);
  ids.pop_back();
  StreamDecoder decoder(tokenizer, /*skip_special=*/true);
  std::string shown;
  for (const std::uint32_t id : ids) shown += *decoder.Next(id);
  EXPECT_EQ(shown, "a");
  EXPECT_EQ(*decoder.Finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(*decoder.Finish(), "");
}

}  // namespace
}  // namespace tutti::text
