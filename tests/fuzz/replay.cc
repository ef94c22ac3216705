// Runs a fuzz target over its corpus (TUTTI_CORPUS, a folder) without libFuzzer: each file as it
// is, cut off at many places, and with bytes changed, the same way in every run. A failure stops
// the program; the trace names the file and the damage.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz_target.h"

namespace tutti {
namespace {

using Bytes = std::vector<std::uint8_t>;

struct CorpusFile {
  std::string name;
  Bytes bytes{};
};
std::ostream& operator<<(std::ostream& out, const CorpusFile& file) { return out << file.name; }

std::vector<CorpusFile> ReadCorpus() {
  std::vector<CorpusFile> files;
  for (const auto& entry : std::filesystem::directory_iterator(TUTTI_CORPUS)) {
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    files.push_back({entry.path().filename().string(), Bytes(text.begin(), text.end())});
  }
  std::ranges::sort(files, {}, &CorpusFile::name);
  return files;
}

// What the target is being given; read by a signal handler of the same thread.
std::span<const std::uint8_t> current;

void ShowCurrent(int /*signal*/) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  constexpr std::string_view kHead = "input that stopped it: ";
  std::array<char, 1 << 16> line{};
  std::size_t size = kHead.copy(line.data(), kHead.size());
  for (const std::uint8_t byte : current) {
    if (size + 3 > line.size()) break;
    line[size++] = kDigits[byte >> 4U];
    line[size++] = kDigits[byte & 0xFU];
  }
  line[size++] = '\n';
  // Nothing can be done about an error here.
  [[maybe_unused]] const auto written = write(STDERR_FILENO, line.data(), size);
}

void Try(const Bytes& bytes) {
  current = bytes;
  EXPECT_EQ(LLVMFuzzerTestOneInput(bytes.data(), bytes.size()), 0);
  current = {};
}

// A copy with one to four bytes changed, removed or put in.
Bytes Damaged(Bytes bytes, std::minstd_rand& random) {
  constexpr std::string_view kFavourites = "{}[]:,\"'&*!%#|>-?~\\\n\t \x00\x7f\x80\xff";
  const auto below = [&random](std::size_t count) { return random() % count; };
  const std::size_t changes = 1 + below(4);
  for (std::size_t i = 0; i < changes && !bytes.empty(); ++i) {
    const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size()));
    const char favourite = kFavourites[below(kFavourites.size())];
    switch (below(4)) {
      case 0:
        *at = static_cast<std::uint8_t>(below(256));
        break;
      case 1:
        *at = static_cast<std::uint8_t>(favourite);
        break;
      case 2:
        bytes.erase(at);
        break;
      default:
        bytes.insert(at, static_cast<std::uint8_t>(favourite));
        break;
    }
  }
  return bytes;
}

class Corpus : public testing::TestWithParam<CorpusFile> {
 protected:
  void SetUp() override { std::signal(SIGABRT, ShowCurrent); }
  void TearDown() override { std::signal(SIGABRT, SIG_DFL); }
};

TEST_P(Corpus, Holds) { Try(GetParam().bytes); }

TEST_P(Corpus, HoldsCutOffAnywhere) {
  const Bytes& bytes = GetParam().bytes;
  const std::size_t stride = std::max<std::size_t>(1, bytes.size() / 200);
  for (std::size_t size = 0; size < bytes.size(); size += stride) {
    Try(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)));
  }
}

TEST_P(Corpus, HoldsDamaged) {
  std::minstd_rand random(1);
  for (int i = 0; i < 200; ++i) Try(Damaged(GetParam().bytes, random));
}

std::string TestName(const testing::TestParamInfo<CorpusFile>& file) {
  std::string name = file.param.name;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Files, Corpus, testing::ValuesIn(ReadCorpus()), TestName);

TEST(CorpusFolder, IsNotEmpty) { EXPECT_FALSE(ReadCorpus().empty()) << TUTTI_CORPUS; }

}  // namespace
}  // namespace tutti
