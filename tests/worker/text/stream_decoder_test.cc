#include "worker/text/stream_decoder.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "worker/text/tokenizer.h"

namespace tutti::text {
namespace {

constexpr const char* kTokenizerCases = "tests/parity/cases/tokenizers/";

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

// What pieces are of a random walk through byte tokens, single letters, words and special tokens.
TEST(StreamDecoder, PiecesOfAnyTokensAreTogetherTheText) {
  for (const char* name : {"gpt2-tiny", "llama2-bpe", "qwen2-bpe"}) {
    const Tokenizer tokenizer = *Tokenizer::Load(std::string(kTokenizerCases) + name);
    std::mt19937 random(7);  // NOLINT: the same walks each time
    for (int walk = 0; walk < 300; ++walk) {
      std::vector<std::uint32_t> ids;
      for (int i = 0; i < 12; ++i) {
        const std::size_t below = random() % 2 == 0 ? 260 : tokenizer.VocabSize();
        ids.push_back(static_cast<std::uint32_t>(random() % below));
      }
      for (const bool skip_special : {false, true}) {
        StreamDecoder decoder(tokenizer, skip_special);
        std::string all;
        for (const std::uint32_t id : ids) {
          const std::string piece = *decoder.Next(id);
          EXPECT_TRUE(IsWholeUtf8(piece));
          all += piece;
        }
        all += *decoder.Finish();
        ASSERT_EQ(all, *tokenizer.Decode(ids, skip_special))
            << name << ": " << testing::PrintToString(ids);
      }
    }
  }
}

TEST(StreamDecoder, ARunOfBytesIsHeldBackToItsEnd) {
  const Tokenizer tokenizer = *Tokenizer::Load(std::string(kTokenizerCases) + "llama2-bpe");
  const std::uint32_t brace = *tokenizer.IdOf("<0x7D>"), half = *tokenizer.IdOf("<0xA6>");
  const std::uint32_t word = *tokenizer.IdOf("th");
  StreamDecoder valid(tokenizer, /*skip_special=*/true);
  EXPECT_EQ(*valid.Next(brace), "");
  EXPECT_EQ(*valid.Next(word), "}th");
  StreamDecoder broken(tokenizer, /*skip_special=*/true);
  EXPECT_EQ(*broken.Next(brace), "");
  EXPECT_EQ(*broken.Next(half), "");
  EXPECT_EQ(*broken.Finish(), "\ufffd\ufffd");
}

// Of a vocabulary with all bytes a U+FFFD that is whole is known to be.
TEST(StreamDecoder, AReplacementCharacterThatIsWholeIsGiven) {
  const Tokenizer tokenizer = *Tokenizer::Load(std::string(kTokenizerCases) + "gpt2-tiny");
  const auto ids = tokenizer.Encode("\ufffd", {.add_special_tokens = false})->ids;
  ASSERT_EQ(ids.size(), 3U);
  StreamDecoder decoder(tokenizer, /*skip_special=*/true);
  for (int times = 0; times < 3; ++times) {
    EXPECT_EQ(*decoder.Next(ids[0]), "");
    EXPECT_EQ(*decoder.Next(ids[1]), "");
    EXPECT_EQ(*decoder.Next(ids[2]), "\ufffd");
  }
}

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
