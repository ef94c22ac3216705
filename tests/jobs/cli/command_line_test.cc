#include "jobs/cli/command_line.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <filesystem>

#include "jobs/cli/unsupported.h"
#include "run_tutti.h"

namespace tutti::cli {
namespace {

using testing::HasSubstr;

TEST(CommandLine, WrongWordsExit2AndSayWhereHelpIs) {
  for (const std::vector<std::string>& args :
       std::vector<std::vector<std::string>>{{"sumbit"},
                                             {"submit"},
                                             {"model"},
                                             {"show"},
                                             {"why", "a", "b"},
                                             {"ps", "--state", "gone"},
                                             {"ps", "--nonsense"},
                                             {"resume", "j", "--ranks", "0"},
                                             {"submit", "x", "--dry-run", "--follow"},
                                             {"up", "--workers", "0"},
                                             {"--color", "blue", "ps"}}) {
    const Ran ran = RunTutti(args);
    EXPECT_EQ(ran.exit, 2) << args[0];
    EXPECT_THAT(ran.err, HasSubstr("--help")) << args[0];
    EXPECT_EQ(ran.out, "") << args[0];
  }
}

TEST(CommandLine, AMistypedCommandIsGuessed) {
  EXPECT_THAT(RunTutti({"sumbit"}).err, HasSubstr("did you mean `tutti submit`"));
  EXPECT_THAT(RunTutti({"model", "exprt"}).err, HasSubstr("did you mean `tutti model export`"));
}

// What is wrong, in words of people, and what was meant.
TEST(CommandLine, WrongWordsAreNamedAndTheRightOnesGuessed) {
  struct Case {
    std::vector<std::string> args;
    std::string message;
    std::string hint;
  };
  for (const Case& one : std::vector<Case>{
           {{"sumbit", "x.yaml"},
            "'sumbit' is no command of `tutti`",
            "did you mean `tutti submit`?"},
           {{"deploi", "x"}, "'deploi' is no command of `tutti`", "`tutti --help`"},
           {{"model", "tri", "x"}, "'tri' is no command of `tutti model`", "`tutti model try`?"},
           {{"queue"}, "which of its commands? list, set", "`tutti queue --help`"},
           {{"ui", "--prnt"}, "there is no option --prnt", "did you mean --print?"},
           {{"ps", "--jsno"}, "there is no option --jsno", "did you mean --json?"},
           {{"ps", "--state", "runing"},
            "--state cannot be 'runing'; it is one of",
            "mean running?"},
           {{"completion", "tcsh"}, "it is one of bash, zsh, fish", "`tutti completion --help`"},
           {{"resize", "j", "--ranks", "0"},
            "--ranks cannot be '0': it has to be above 0",
            "--help"},
           {{"logs", "j", "--rank", "-1"},
            "'-1': it has to be a number that is not negative",
            "--help"},
           {{"up", "--workers", "0"}, "it goes from 1 to 64", "`tutti up --help`"},
           {{"why", "a", "b"}, "that is more than it takes", "`tutti why --help`"}}) {
    SCOPED_TRACE(one.args[0] + " " + one.args.back());
    const Ran ran = RunTutti(one.args);
    EXPECT_EQ(ran.exit, 2);
    EXPECT_THAT(ran.err, HasSubstr(one.message));
    EXPECT_THAT(ran.err, HasSubstr(one.hint));
  }
}

TEST(CommandLine, NothingAtAllPrintsTheCommands) {
  const Ran ran = RunTutti({});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_THAT(ran.out, HasSubstr("submit"));
}

TEST(CommandLine, HelpIsDataAndNoError) {
  const Ran ran = RunTutti({"model", "try", "--help"});
  EXPECT_EQ(ran.exit, 0);
  EXPECT_THAT(ran.out, HasSubstr("tutti model try"));
  EXPECT_EQ(ran.err, "");
}

TEST(CommandLine, VersionAndRevision) {
  EXPECT_THAT(RunTutti({"--version"}).out, testing::MatchesRegex("tutti [0-9.]+ \\(.+\\)\n"));
  EXPECT_TRUE(RunTutti({"--version", "--json"}).Json().contains("revision"));
}

TEST(CommandLine, CommandsNotBuiltYetSaySoWithExit2) {
  for (const Unsupported& command : UnsupportedCommands()) {
    std::vector<std::string> args;
    std::istringstream words{std::string(command.path)};
    for (std::string word; words >> word;) args.push_back(word);
    args.insert(args.end(), {"anything", "--at-all", "7"});
    const Ran ran = RunTutti(args);
    EXPECT_EQ(ran.exit, 2) << command.path;
    EXPECT_THAT(ran.err, HasSubstr("not supported yet")) << command.path;
    EXPECT_THAT(ran.err, HasSubstr(std::string(command.path))) << command.path;
  }
}

TEST(CommandLine, CoordinatorAndWorkerAreTheirPrograms) {
  for (const char* name : {"coordinator", "worker"}) {
    const Ran ran = RunTutti({name, "--dir", "x"});
    EXPECT_EQ(ran.exit, 2);
    EXPECT_THAT(ran.err, HasSubstr("/nonexistent/tutti-" + std::string(name)));
  }
  EXPECT_THAT(RunTutti({"worker", "--help"}).out, HasSubstr("list"));
}

TEST(CommandLine, WithoutAClusterItIsUnreachableAndSaysHowToStartOne) {
  std::string pattern = testing::TempDir() + "command-line-XXXXXX";
  const std::string dir = ::mkdtemp(pattern.data());
  const Ran ran = RunTutti({"ps", "--data-dir", dir});
  std::filesystem::remove_all(dir);
  EXPECT_EQ(ran.exit, 7);
  EXPECT_THAT(ran.err, HasSubstr("tutti up --data-dir " + dir));
}

TEST(CommandLine, APinThatIsNoneIsSaid) {
  const Ran ran = RunTutti({"ps", "--url", "https://localhost:1", "--pin", "sha256:12"});
  EXPECT_EQ(ran.exit, 3);
  EXPECT_THAT(ran.err, HasSubstr("--pin"));
  EXPECT_THAT(ran.err, HasSubstr("64 hex digits"));
}

}  // namespace
}  // namespace tutti::cli
