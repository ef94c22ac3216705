#include "monitoring/metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <sstream>
#include <string>

#include "tests/monitoring/metrics/every_metric.h"

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

// What dashboards, alerts and other people's queries rely on: no family goes or changes its kind
// unnoticed.
TEST(Metrics, FamiliesKeepTheirNamesAndKinds) {
  const std::map<std::string, std::string> expected = {
      {"tutti_build_info", "gauge"},
      {"tutti_store_commit_duration_seconds", "histogram"},
      {"tutti_store_size_bytes", "gauge"},
      {"tutti_store_disk_free_bytes", "gauge"},
      {"tutti_store_disk_size_bytes", "gauge"},
      {"tutti_store_read_only", "gauge"},
      {"tutti_scheduler_step_duration_seconds", "histogram"},
      {"tutti_scheduler_decisions_total", "counter"},
      {"tutti_scheduler_preemptions_total", "counter"},
      {"tutti_scheduler_prediction_ratio", "histogram"},
      {"tutti_scheduler_predictions_total", "counter"},
      {"tutti_queue_jobs", "gauge"},
      {"tutti_queue_oldest_wait_seconds", "gauge"},
      {"tutti_queue_quota_slots", "gauge"},
      {"tutti_queue_allocated_slots", "gauge"},
      {"tutti_queue_wait_duration_seconds", "histogram"},
      {"tutti_jobs_submitted_total", "counter"},
      {"tutti_jobs_finished_total", "counter"},
      {"tutti_job_launch_duration_seconds", "histogram"},
      {"tutti_job_restarts_total", "counter"},
      {"tutti_job_recovery_duration_seconds", "histogram"},
      {"tutti_node_up", "gauge"},
      {"tutti_node_last_heartbeat_timestamp_seconds", "gauge"},
      {"tutti_node_slots", "gauge"},
      {"tutti_node_memory_bytes", "gauge"},
      {"tutti_node_disk_free_bytes", "gauge"},
      {"tutti_node_disk_size_bytes", "gauge"},
      {"tutti_node_cpu_seconds_total", "counter"},
      {"tutti_gpu_utilization_ratio", "gauge"},
      {"tutti_gpu_memory_used_bytes", "gauge"},
      {"tutti_gpu_power_watts", "gauge"},
      {"tutti_gpu_temperature_celsius", "gauge"},
      {"tutti_train_step", "gauge"},
      {"tutti_train_loss", "gauge"},
      {"tutti_train_eval_loss", "gauge"},
      {"tutti_train_learning_rate", "gauge"},
      {"tutti_train_gradient_norm", "gauge"},
      {"tutti_train_progress_ratio", "gauge"},
      {"tutti_train_ranks", "gauge"},
      {"tutti_train_tokens_total", "counter"},
      {"tutti_train_samples_total", "counter"},
      {"tutti_train_nonfinite_steps_total", "counter"},
      {"tutti_train_straggler_delay_seconds", "gauge"},
      {"tutti_train_stalled_ranks", "gauge"},
      {"tutti_train_step_duration_seconds", "histogram"},
      {"tutti_train_phase_duration_seconds", "histogram"},
      {"tutti_allreduce_bytes_total", "counter"},
      {"tutti_allreduce_duration_seconds", "histogram"},
      {"tutti_checkpoint_duration_seconds", "histogram"},
      {"tutti_checkpoint_size_bytes", "gauge"},
      {"tutti_checkpoint_last_success_timestamp_seconds", "gauge"},
      {"tutti_checkpoint_failures_total", "counter"},
      {"tutti_http_requests_total", "counter"},
      {"tutti_http_request_duration_seconds", "histogram"},
      {"tutti_http_connections", "gauge"},
      {"tutti_sse_subscribers", "gauge"},
      {"tutti_sse_dropped_events_total", "counter"},
      {"tutti_auth_failures_total", "counter"},
      {"tutti_wire_dropped_frames_total", "counter"},
      {"tutti_wire_refused_peers_total", "counter"},
      {"tutti_webhook_deliveries_total", "counter"},
      {"tutti_webhook_pending", "gauge"},
  };
  Metrics m("0.1.0", "abc");
  Fill(m);
  std::map<std::string, std::string> families;
  std::istringstream lines(m.ToText());
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash;
    std::string type;
    std::string name;
    if (words >> hash >> type >> name && hash == "#" && type == "TYPE") words >> families[name];
  }
  EXPECT_EQ(families, expected);
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

TEST(Metrics, WhatIsExpectedIsZeroUntilItHappens) {
  Metrics m("0.1.0", "abc");
  EXPECT_THAT(m.ToText(), HasSubstr("tutti_sse_dropped_events_total 0"));
  EXPECT_THAT(m.ToText(),
              HasSubstr("tutti_webhook_deliveries_total{of=\"job\",outcome=\"given_up\"} 0"));
  m.jobs.ExpectRestarted("hang");
  EXPECT_THAT(m.ToText(), HasSubstr("tutti_job_restarts_total{reason=\"hang\"} 0"));
  m.jobs.Restarted("hang");
  m.jobs.ExpectRestarted("hang");
  EXPECT_THAT(m.ToText(), HasSubstr("tutti_job_restarts_total{reason=\"hang\"} 1"));
}

TEST(Metrics, CpuTimeGoesOnAfterAWorkersRestart) {
  Metrics m("0.1.0", "abc");
  m.nodes.CpuTime("worker-0", 5s);
  m.nodes.CpuTime("worker-0", 7s);
  m.nodes.CpuTime("worker-0", 1s);
  EXPECT_THAT(m.ToText(), HasSubstr("tutti_node_cpu_seconds_total{node=\"worker-0\"} 8"));
}

}  // namespace
}  // namespace tutti::metrics
