// Prometheus's own linter over the metrics text. packaging/promtool.sh fetches it once; without a
// network it may be missing, but never on CI.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "tests/monitoring/metrics/every_metric.h"

namespace tutti::metrics {
namespace {

// What the command prints, and how it ends (-1: it was not started).
std::pair<std::string, int> OutputOf(const std::string& command) {
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return {"", -1};
  std::string said;
  std::array<char, 4096> block{};
  while (std::fgets(block.data(), static_cast<int>(block.size()), pipe) != nullptr) {
    said += block.data();
  }
  return {said, ::pclose(pipe)};
}

TEST(Promtool, FindsNothingWrongWithTheMetrics) {
  auto [tool, found] = OutputOf("packaging/promtool.sh");
  if (found != 0) {
    const char* ci = std::getenv("CI");
    if (ci != nullptr && std::string(ci) == "true") FAIL() << "there is no promtool";
    GTEST_SKIP() << "NOT CHECKED: packaging/promtool.sh found no promtool";
  }
  while (!tool.empty() && tool.back() == '\n') tool.pop_back();

  Metrics m("0.1.0", "abc");
  Fill(m);
  const auto file = std::filesystem::temp_directory_path() /
                    ("tutti-metrics-" + std::to_string(::getpid()) + ".txt");
  std::ofstream(file) << m.ToText();
  const auto check = [&] {
    return OutputOf("'" + tool + "' check metrics < '" + file.string() + "' 2>&1");
  };
  const auto [said, status] = check();
  EXPECT_EQ(status, 0) << said;
  EXPECT_EQ(said, "");
  // It does look: a counter without _total is a finding.
  std::ofstream(file, std::ios::app) << "# HELP x_things x\n# TYPE x_things counter\nx_things 1\n";
  EXPECT_NE(check().second, 0);
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace tutti::metrics
