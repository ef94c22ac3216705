#include "jobs/cli/man.h"

#include <gmock/gmock.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "run_tutti.h"

namespace tutti::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string OutputOf(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen(command.c_str(), "r");
  std::array<char, 4096> block{};
  while (std::fgets(block.data(), block.size(), pipe) != nullptr) out += block.data();
  ::pclose(pipe);
  return out;
}

// The page as a terminal shows it: no bold, no hyphenation, one space for many.
std::string Rendered(const std::string& page, const std::string& options) {
  const std::string path = testing::TempDir() + "tutti-" + std::to_string(::getpid()) + ".1";
  std::ofstream(path) << page;
  const std::string out =
      OutputOf("groff -man -Tutf8 -P-cbou " + options + " '" + path + "' 2>&1 | tr -s ' \n' ' '");
  ::unlink(path.c_str());
  return out;
}

TEST(Man, IsRenderedWithoutWarnings) {
  const std::string page = RunTutti({"man"}).out;
  EXPECT_EQ(Rendered(page, "-ww -z"), "");
  // It does look.
  EXPECT_NE(Rendered(page + ".nosuchmacro\n", "-ww -z"), "");
}

// Every command and every option that --help has, in the same words.
TEST(Man, SaysWhatHelpSays) {
  const std::string shown = Rendered(RunTutti({"man"}).out, "-rLL=200n");
  for (const char* command : {"submit", "logs", "model try", "queue set", "worker token",
                              "checkpoint gc", "webhook create", "export mlflow", "top", "man"}) {
    SCOPED_TRACE(command);
    EXPECT_THAT(shown, HasSubstr("tutti " + std::string(command)));
    std::vector<std::string> words;
    std::istringstream in(command);
    for (std::string word; in >> word;) words.push_back(word);
    words.push_back("--help");
    std::istringstream help(RunTutti(words).out);
    for (std::string word; help >> word;) {
      if (word.starts_with("--") && word.size() > 3 && word != "--help") {
        EXPECT_THAT(shown, HasSubstr(word.substr(
                               0, word.find_first_not_of("abcdefghijklmnopqrstuvwxyz-"))));
      }
    }
  }
  EXPECT_THAT(shown, HasSubstr("Override a field: training.learning_rate=1e-4"));
  EXPECT_THAT(shown, HasSubstr("7 unreachable, 8 timeout, 130 interrupted"));
  EXPECT_THAT(shown, HasSubstr("NO_COLOR"));
}

// Completion walks the same tree: none of its commands is left out.
TEST(Man, HasEveryCommandThatCompletionHas) {
  const std::string shown = Rendered(RunTutti({"man"}).out, "-rLL=200n");
  std::istringstream script(RunTutti({"completion", "bash"}).out);
  int commands = 0;
  for (std::string line; std::getline(script, line);) {
    const std::size_t end = line.find("') words=''");
    if (!line.starts_with("    '") || end == std::string::npos) continue;
    ++commands;
    EXPECT_THAT(shown, HasSubstr("tutti " + line.substr(5, end - 5)));
  }
  EXPECT_GT(commands, 40);
}

}  // namespace
}  // namespace tutti::cli
