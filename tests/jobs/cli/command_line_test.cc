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
                                             {"show", "a", "b"},
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
