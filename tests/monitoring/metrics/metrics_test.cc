#include "monitoring/metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace tutti::metrics {
namespace {

using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

std::size_t CountOf(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// Touches every accessor, so that every family has a series.
void Fill(Metrics& m) {
  m.control.StoreCommit(2ms);
  m.control.StoreSize(Bytes{4096});
  m.control.SchedulerStep(3us);
  m.control.Decision("placed");
  m.control.Preemption("drain");
  m.queue.Jobs("default", "running", 2);
  m.queue.OldestWait("default", 4s);
  m.queue.QuotaSlots("default", 8);
  m.queue.AllocatedSlots("default", 2);
  m.queue.Waited("default", 100ms);
  m.jobs.Submitted("text-classification", "full");
  m.jobs.Finished("text-classification", "failed", "oom");
  m.jobs.Launched(200ms);
  m.jobs.Restarted("crash");
  m.jobs.Recovered("crash", 2s);
  m.nodes.Up("worker-0", true);
  m.nodes.Heartbeat("worker-0", WallTime{1'700'000'000'000});
  m.nodes.Slots("worker-0", 1, 1);
  m.nodes.Memory("worker-0", Bytes{1 << 30}, Bytes{1 << 20});
  m.nodes.DiskFree("worker-0", Bytes{1 << 30});
  m.nodes.CpuTime("worker-0", 3s);
  m.nodes.GpuState("worker-0", 0,
                   {.utilization_ratio = 0.5, .power_watts = 60, .temperature_celsius = 40});
  m.training.Progress(JobId{7}, {.step = 5,
                                 .total_steps = 20,
                                 .loss = 1.5,
                                 .learning_rate = 1e-4,
                                 .gradient_norm = 0.5,
                                 .tokens_since_last = 100,
                                 .rows_since_last = 8});
  m.training.EvalLoss(JobId{7}, 1.25);
  m.training.NonfiniteStep(JobId{7});
  m.training.StragglerDelay(JobId{7}, 10ms);
  m.training.StepTime("text-classification", 40ms);
  m.training.PhaseTime(Phase::kReduce, 1ms);
  m.training.Reduced(ReducePath::kMemory, Bytes{1 << 20}, 1ms);
  m.checkpoints.Committed(JobId{7}, Bytes{1 << 20}, WallTime{1'700'000'000'000});
  m.checkpoints.Stage(CheckpointStage::kWrite, 20ms);
  m.checkpoints.Failed("disk_full");
  m.http.Request("/api/v1/jobs/{job}", "GET", 200, 1ms);
  m.http.Connections(3);
  m.http.SseSubscribers(1);
  m.http.SseDropped(2);
  m.http.AuthFailure("token");
  m.wire.FrameDropped("malformed");
}

TEST(Metrics, WritesPrometheusText) {
  Metrics m("0.1.0", "abc");
  Fill(m);
  const std::string text = m.ToText();
  EXPECT_THAT(text, HasSubstr("# HELP tutti_train_loss "));
  EXPECT_THAT(text, HasSubstr("# TYPE tutti_http_requests_total counter"));
  EXPECT_THAT(text,
              HasSubstr("tutti_train_progress_ratio{job=\"" + JobId{7}.ToString() + "\"} 0.25"));
  EXPECT_THAT(text, HasSubstr("tutti_queue_jobs{queue=\"default\",state=\"running\"} 2"));
  EXPECT_THAT(text, HasSubstr("tutti_sse_dropped_events_total 2"));
}

TEST(Metrics, JobSeriesGoTenMinutesAfterTheEnd) {
  Metrics m("0.1.0", "abc");
  const std::string series = "job=\"" + JobId{7}.ToString() + "\"";
  Fill(m);
  const Instant end{1h};
  m.JobEnded(JobId{7}, end);
  m.Sweep(end + 9min);
  EXPECT_THAT(m.ToText(), HasSubstr(series));
  m.Sweep(end + 10min);
  EXPECT_THAT(m.ToText(), Not(HasSubstr(series)));
  // It may come back, as a resumed one does.
  m.training.EvalLoss(JobId{7}, 1);
  EXPECT_THAT(m.ToText(), HasSubstr(series));
}

TEST(Metrics, AJobThatReportsAgainIsLive) {
  Metrics m("0.1.0", "abc");
  m.training.EvalLoss(JobId{7}, 1);
  m.JobEnded(JobId{7}, Instant{});
  m.training.EvalLoss(JobId{7}, 2);
  m.Sweep(Instant{1h});
  EXPECT_THAT(m.ToText(), HasSubstr(JobId{7}.ToString()));
}

TEST(Metrics, JobsBeyondTheLimitShareOther) {
  Metrics m("0.1.0", "abc");
  for (std::uint64_t i = 0; i < kJobSeriesMax + 50; ++i) {
    m.training.Progress(JobId{i}, {.tokens_since_last = 10});
  }
  const std::string text = m.ToText();
  EXPECT_EQ(CountOf(text, "\ntutti_train_tokens_total{"), kJobSeriesMax + 1);
  EXPECT_THAT(text, HasSubstr("tutti_train_tokens_total{job=\"_other\"} 500"));
}

TEST(Metrics, ForgetRemovesANode) {
  Metrics m("0.1.0", "abc");
  Fill(m);
  m.nodes.Forget("worker-0");
  EXPECT_THAT(m.ToText(), Not(HasSubstr("node=\"worker-0\"")));
  m.nodes.Up("worker-0", false);
  EXPECT_THAT(m.ToText(), HasSubstr("tutti_node_up{node=\"worker-0\"} 0"));
}

TEST(Metrics, CpuTimeGoesOnAfterAWorkersRestart) {
  Metrics m("0.1.0", "abc");
  m.nodes.CpuTime("worker-0", 5s);
  m.nodes.CpuTime("worker-0", 7s);
  m.nodes.CpuTime("worker-0", 1s);
  EXPECT_THAT(m.ToText(), HasSubstr("tutti_node_cpu_seconds_total{node=\"worker-0\"} 8"));
}

// Prometheus's own linter. packaging/promtool.sh unpacks it; without a network it may be missing,
// but never on CI.
TEST(Metrics, PromtoolFindsNothing) {
  std::string tool;
  if (FILE* pipe = ::popen("packaging/promtool.sh 2>/dev/null", "r")) {
    std::array<char, 4096> line{};
    if (std::fgets(line.data(), static_cast<int>(line.size()), pipe) != nullptr) tool = line.data();
    ::pclose(pipe);
  }
  while (!tool.empty() && tool.back() == '\n') tool.pop_back();
  const char* ci = std::getenv("CI");
  if (tool.empty() && ci != nullptr && std::string(ci) == "true") {
    FAIL() << "packaging/promtool.sh found no promtool";
  }
  if (tool.empty()) GTEST_SKIP() << "NOT CHECKED: packaging/promtool.sh found no promtool";

  Metrics m("0.1.0", "abc");
  Fill(m);
  const auto file = std::filesystem::temp_directory_path() /
                    ("tutti-metrics-" + std::to_string(::getpid()) + ".txt");
  std::ofstream(file) << m.ToText();
  const std::string command = "'" + tool + "' check metrics < " + file.string() + " 2>&1";
  std::string said;
  FILE* pipe = ::popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::array<char, 4096> line{};
  while (std::fgets(line.data(), static_cast<int>(line.size()), pipe) != nullptr)
    said += line.data();
  EXPECT_EQ(::pclose(pipe), 0) << said;
  EXPECT_EQ(said, "");
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace tutti::metrics
