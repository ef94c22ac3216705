#include "worker/engine/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/engine/engine_process.h"
#include "worker/engine/blas.h"
#include "worker/engine/exit_codes.h"

namespace tutti::engine {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::MatchesRegex;

constexpr char kTokenizer[] = "tests/parity/cases/tokenizers/bert-tiny";

TEST(Commands, HelpAndVersionAreNoErrors) {
  const Outcome help = RunEngine({"--help"});
  EXPECT_EQ(help.status, kExitOk);
  for (const char* name :
       {"train", "inspect", "try", "eval", "parity", "tokenize", "detokenize", "zygote"}) {
    EXPECT_THAT(help.out, HasSubstr(name));
  }
  const Outcome version = RunEngine({"--version"});
  EXPECT_EQ(version.status, kExitOk);
  EXPECT_THAT(version.out, MatchesRegex("tutti-engine [0-9]+\\.[0-9]+\\.[0-9]+ \\(.+\\)\n"));
}

TEST(Commands, WrongUseExitsWithTwoAndSaysWhatIsWrong) {
  EXPECT_EQ(RunEngine({}).status, kExitUsage);
  const Outcome unknown = RunEngine({"fly"});
  EXPECT_EQ(unknown.status, kExitUsage);
  EXPECT_THAT(unknown.err, HasSubstr("fly"));
  const Outcome without = RunEngine({"tokenize"});
  EXPECT_EQ(without.status, kExitUsage);
  EXPECT_THAT(without.err, HasSubstr("MODEL_DIR"));
}

TEST(Commands, TokenizeAndDetokenizeAreFilters) {
  const Outcome ids = RunEngine({"tokenize", kTokenizer}, {.input = "\"a library\"\n"});
  ASSERT_EQ(ids.status, kExitOk) << ids.err;
  EXPECT_THAT(ids.out, MatchesRegex("\\[[0-9]+(,[0-9]+)+\\]\n"));
  const Outcome text = RunEngine({"detokenize", kTokenizer}, {.input = ids.out});
  ASSERT_EQ(text.status, kExitOk) << text.err;
  EXPECT_EQ(text.out, "\"[CLS] a library [SEP]\"\n");
}

TEST(Commands, ABadLineIsTheInputsFault) {
  const Outcome outcome = RunEngine({"tokenize", kTokenizer}, {.input = "\"fine\"\nnot JSON\n"});
  EXPECT_EQ(outcome.status, kExitData);
  EXPECT_THAT(outcome.err, HasSubstr("line 2"));
}

TEST(Commands, ParityCountsItsCases) {
  const Outcome outcome = RunEngine({"parity", "tests/parity/cases/chat"});
  EXPECT_EQ(outcome.status, kExitOk) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr(" passed, 0 failed\n"));
  EXPECT_THAT(outcome.out, HasSubstr("ok "));
  EXPECT_EQ(RunEngine({"parity", "tests"}).status, kExitInternal);
}

TEST(Commands, AProcessAloneIsAWorldOfOne) {
  const Outcome outcome = RunEngine({"world"});
  EXPECT_EQ(outcome.status, kExitOk) << outcome.err;
  EXPECT_EQ(outcome.out, "rank 0 of 1\n");
}

TEST(Blas, KernelsOfOlderProcessorsAreReplaced) {
  EXPECT_EQ(BetterCore("Prescott", "avx512"), "SkylakeX");
  EXPECT_EQ(BetterCore("Nehalem", "avx2"), "Haswell");
  EXPECT_EQ(BetterCore("Nehalem", "baseline"), std::nullopt);
  for (const char* good : {"Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids"}) {
    EXPECT_EQ(BetterCore(good, "avx512"), std::nullopt) << good;
  }
}

TEST(Blas, TheEngineStartsAnewOnBetterKernels) {
  const Outcome outcome =
      RunEngine({"world"}, {.environment = {{"LD_PRELOAD", TUTTI_OLD_CORE_BLAS}}});
  EXPECT_EQ(outcome.status, kExitOk) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("core: not set\n"));
  if (__builtin_cpu_supports("avx2")) {
    EXPECT_THAT(outcome.err, ContainsRegex("core: (SkylakeX|Haswell)\n"));
  }
  const Outcome chosen = RunEngine({"world"}, {.environment = {{"LD_PRELOAD", TUTTI_OLD_CORE_BLAS},
                                                               {"OPENBLAS_CORETYPE", "Nehalem"}}});
  EXPECT_EQ(chosen.status, kExitOk) << chosen.err;
  EXPECT_THAT(chosen.err, MatchesRegex("(core: Nehalem\n)+"));  // MPI starts a process, too
}

TEST(Commands, AnotherBlasIsRefused) {
  for (const auto& [library, why] : {std::pair{TUTTI_OTHER_BLAS, "is not OpenBLAS"},
                                     std::pair{TUTTI_PTHREAD_BLAS, "is not built on OpenMP"}}) {
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"parity", "tests/parity/cases/chat"},
          {"inspect", "--request", "/dev/null"},
          {"eval", "--model", "x", "--data", "y"},
          {"zygote", "--fd", "0"}}) {
      const Outcome outcome = RunEngine(command, {.environment = {{"LD_PRELOAD", library}}});
      EXPECT_EQ(outcome.status, kExitBlas) << command[0];
      EXPECT_THAT(outcome.err, HasSubstr(why));
      EXPECT_THAT(outcome.err, HasSubstr("apt install libopenblas0-openmp"));
    }
  }
}

}  // namespace
}  // namespace tutti::engine
