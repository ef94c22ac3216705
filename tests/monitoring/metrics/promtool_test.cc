// Prometheus's own tool over the metrics text, the rules, their tests and the example
// configuration. packaging/promtool.sh fetches it once; without a network it may be missing, but
// never on CI.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/monitoring/metrics/every_metric.h"

namespace tutti::metrics {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAlerts = "monitoring/prometheus/rules/alerts.yml";
constexpr const char* kAlertTests = "tests/monitoring/prometheus/alerts_test.yml";

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

std::string TextOf(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return std::move(text).str();
}

class Promtool : public testing::Test {
 protected:
  void SetUp() override {
    auto [tool, found] = OutputOf("packaging/promtool.sh");
    if (found != 0) {
      const char* ci = std::getenv("CI");
      if (ci != nullptr && std::string(ci) == "true") FAIL() << "there is no promtool";
      GTEST_SKIP() << "NOT CHECKED: packaging/promtool.sh found no promtool";
    }
    while (!tool.empty() && tool.back() == '\n') tool.pop_back();
    tool_ = tool;
    fs::create_directories(scratch_);
  }
  void TearDown() override { fs::remove_all(scratch_); }

  std::pair<std::string, int> Run(const std::string& arguments) const {
    return OutputOf("'" + tool_ + "' " + arguments + " 2>&1");
  }

  std::string tool_;
  fs::path scratch_ = fs::temp_directory_path() / ("tutti-promtool-" + std::to_string(::getpid()));
};

TEST_F(Promtool, FindsNothingWrongWithTheMetrics) {
  Metrics m("0.1.0", "abc");
  Fill(m);
  const fs::path file = scratch_ / "metrics.txt";
  std::ofstream(file) << m.ToText();
  const auto check = [&] { return Run("check metrics < '" + file.string() + "'"); };
  const auto [said, status] = check();
  EXPECT_EQ(status, 0) << said;
  EXPECT_EQ(said, "");
  // It does look: a counter without _total is a finding.
  std::ofstream(file, std::ios::app) << "# HELP x_things x\n# TYPE x_things counter\nx_things 1\n";
  EXPECT_NE(check().second, 0);
}

TEST_F(Promtool, AcceptsRulesAndConfiguration) {
  const auto [rules, rules_status] = Run("check rules monitoring/prometheus/rules/*.yml");
  EXPECT_EQ(rules_status, 0) << rules;
  // The files that it names are those of the machine it will run on.
  const auto [config, config_status] =
      Run("check config --syntax-only monitoring/prometheus/prometheus.yml");
  EXPECT_EQ(config_status, 0) << config;
  const fs::path broken = scratch_ / "broken.yml";
  std::ofstream(broken) << "groups: [{name: x, rules: [{alert: X, expr: 'rate(tutti_x)'}]}]\n";
  EXPECT_NE(Run("check rules '" + broken.string() + "'").second, 0);
}

TEST_F(Promtool, AlertsFireWhereTheyShouldAndNowhereElse) {
  const auto [said, status] = Run(std::string("test rules ") + kAlertTests);
  EXPECT_EQ(status, 0) << said;
}

TEST(Alerts, EachIsTestedAndExplained) {
  const std::string alerts = TextOf(kAlerts);
  const std::string tests = TextOf(kAlertTests);
  const std::string docs = TextOf("docs/monitoring.md");
  const std::regex name("- alert: (\\w+)");
  std::size_t count = 0;
  for (std::sregex_iterator at(alerts.begin(), alerts.end(), name), end; at != end; ++at, ++count) {
    const std::string alert = (*at)[1];
    const std::regex fires("alertname: " + alert + "\\s+exp_alerts:\\s+- exp_labels");
    EXPECT_TRUE(std::regex_search(tests, fires)) << alert << " fires in no test";
    EXPECT_NE(docs.find("### " + alert + "\n"), std::string::npos) << alert << " is not explained";
  }
  EXPECT_GT(count, 0U);
}

// A rule or panel cannot ask for a metric that nobody writes.
TEST(Rules, AskForMetricsThatAreThere) {
  Metrics m("0.1.0", "abc");
  Fill(m);
  const std::string text = m.ToText();
  std::vector<fs::path> files = {kAlerts, "monitoring/prometheus/rules/recording.yml"};
  for (const auto& entry : fs::directory_iterator("monitoring/grafana")) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  const std::regex name("tutti_[a-z0-9_]+");
  for (const fs::path& file : files) {
    const std::string rules = TextOf(file);
    for (std::sregex_iterator at(rules.begin(), rules.end(), name), end; at != end; ++at) {
      std::string metric = at->str();
      for (const std::string suffix : {"_bucket", "_sum", "_count"}) {
        if (metric.size() > suffix.size() && metric.ends_with(suffix)) {
          metric.resize(metric.size() - suffix.size());
        }
      }
      EXPECT_NE(text.find("# TYPE " + metric + " "), std::string::npos) << file << ": " << metric;
    }
  }
}

}  // namespace
}  // namespace tutti::metrics
