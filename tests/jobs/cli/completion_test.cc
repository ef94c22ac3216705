#include "jobs/cli/completion.h"

#include <gmock/gmock.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>

#include "run_tutti.h"

namespace tutti::cli {
namespace {

using testing::HasSubstr;

// What bash offers for these words, the last one being typed.
std::string Offered(const std::string& words, int count) {
  const std::string path = testing::TempDir() + "completion-" + std::to_string(::getpid());
  std::ofstream(path) << RunTutti({"completion", "bash"}).out;
  const std::string command = "bash -c '. " + path + "; COMP_WORDS=(" + words +
                              "); COMP_CWORD=" + std::to_string(count) +
                              "; _tutti; echo \"${COMPREPLY[*]}\"'";
  std::string out;
  FILE* pipe = ::popen(command.c_str(), "r");
  std::array<char, 4096> block{};
  while (std::fgets(block.data(), block.size(), pipe) != nullptr) out += block.data();
  ::pclose(pipe);
  ::unlink(path.c_str());
  return out;
}

TEST(BashCompletion, OffersCommandsSubcommandsAndOptions) {
  EXPECT_EQ(Offered("tutti sub", 1), "submit\n");
  EXPECT_THAT(Offered("tutti model \"\"", 2), HasSubstr("export"));
  EXPECT_EQ(Offered("tutti --json submit --dry", 3), "--dry-run\n");
  EXPECT_THAT(Offered("tutti model try --", 3), HasSubstr("--top-k"));
}

TEST(ZshCompletion, HasTheSameTree) {
  const std::string script = RunTutti({"completion", "zsh"}).out;
  EXPECT_THAT(script, HasSubstr("#compdef tutti"));
  EXPECT_THAT(script, HasSubstr("'model') words='list show try eval export"));
}

TEST(FishCompletion, NamesEachCommandUnderItsParent) {
  EXPECT_EQ(FishCompletion({{.path = "", .subcommands = {"show"}, .options = {"--json"}},
                            {.path = "show", .takes_job = true}}),
            "# fish completion of tutti: tutti completion fish | source\n"
            "complete -c tutti -n '__fish_use_subcommand' -f -a show\n"
            "complete -c tutti -n '__fish_use_subcommand' -l json\n"
            "complete -c tutti -n '__fish_seen_subcommand_from show' -f -a '(tutti ps --all -q "
            "2>/dev/null)'\n");
}

TEST(Completion, OtherShellsAreRefused) { EXPECT_EQ(RunTutti({"completion", "tcsh"}).exit, 2); }

}  // namespace
}  // namespace tutti::cli
