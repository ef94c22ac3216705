// Touches every metric there is, for the tests of monitoring/metrics. No state.
#pragma once

#include <chrono>

#include "monitoring/metrics/metrics.h"

namespace tutti::metrics {

// Calls every accessor, so that every family has a series.
inline void Fill(Metrics& m) {
  using namespace std::chrono_literals;
  m.control.StoreCommit(2ms);
  m.control.StoreSize(Bytes{4096});
  m.control.StoreDisk(Bytes{1 << 20}, Bytes{1 << 30});
  m.control.ReadOnly(false);
  m.control.SchedulerStep(3us);
  m.control.Decision("placed");
  m.control.Preemption("drain");
  m.control.Predicted("end", 1.2, "inside");
  m.control.ExpectPredicted("start", "late");
  m.queue.Jobs("default", "running", 2);
  m.queue.OldestWait("default", 4s);
  m.queue.QuotaSlots("default", 8);
  m.queue.AllocatedSlots("default", 2);
  m.queue.Waited("default", 100ms);
  m.jobs.Submitted("text-classification", "full");
  m.jobs.Finished("text-classification", "failed", "oom");
  m.jobs.Launched(200ms);
  m.jobs.Restarted("crash");
  m.jobs.ExpectFinished("text-classification", "succeeded", "");
  m.jobs.ExpectRestarted("hang");
  m.jobs.Recovered("crash", 2s);
  m.nodes.Up("worker-0", true);
  m.nodes.Heartbeat("worker-0", WallTime{1'700'000'000'000});
  m.nodes.Slots("worker-0", 1, 1);
  m.nodes.Memory("worker-0", Bytes{1 << 30}, Bytes{1 << 20});
  m.nodes.DiskFree("worker-0", Bytes{1 << 30});
  m.nodes.DiskSize("worker-0", Bytes{1 << 30});
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
  m.training.Ranks(JobId{7}, 2);
  m.training.EvalLoss(JobId{7}, 1.25);
  m.training.NonfiniteStep(JobId{7});
  m.training.StragglerDelay(JobId{7}, 10ms);
  m.training.StalledRanks(JobId{7}, 1);
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
  m.http.AuthFailure("unknown");
  m.wire.FrameDropped("malformed");
  m.wire.PeerRefused("key");
  m.webhooks.Delivery("cluster", "sent");
  m.webhooks.Pending(1);
}

}  // namespace tutti::metrics
