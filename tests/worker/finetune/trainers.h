// Gangs of real processes that train a small job, with a worker's end that records what they say
// and asks what a test wants.
#pragma once

#include <ATen/Parallel.h>
#include <signal.h>

#include <cstdint>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/digest/sha256.h"
#include "common/enginelink/messages.h"
#include "tests/worker/exchange/gang.h"
#include "tests/worker/finetune/small_job.h"
#include "worker/finetune/export.h"
#include "worker/finetune/trainer.h"

namespace tutti::finetune {

// What a test makes happen in step `step` (counted from 1).
struct Script {
  std::int64_t stop_in_step = -1;
  bool stop_checkpoint = true;
  std::int64_t checkpoint_in_step = -1;
  std::int64_t kill_in_step = -1;  // of rank `kill_rank`, before the reduction
  std::uint32_t kill_rank = 0;
  std::int64_t worker_gone_in_step = -1;
};

class RecordingLink final : public WorkerLink {
 public:
  RecordingLink(std::uint32_t rank, Script script, const fs::path& file)
      : rank_(rank), script_(script), out_(file, std::ios::app) {}

  Status Send(const enginelink::ToWorker& message) override {
    const std::lock_guard lock(mutex_);
    if (const auto* beat = std::get_if<enginelink::Beat>(&message)) {
      step_ = static_cast<std::int64_t>(beat->step) + 1;
      if (beat->phase == "reduce" && step_ == script_.kill_in_step && rank_ == script_.kill_rank) {
        raise(SIGKILL);
      }
      return {};
    }
    out_ << enginelink::Encode(message) << std::flush;
    return {};
  }
  Status Check() override { return {}; }
  Result<Control> Poll() override {
    const std::lock_guard lock(mutex_);
    if (step_ == script_.worker_gone_in_step) return Fail(ErrorCode::kUnavailable, "gone");
    return Control{.stop = step_ == script_.stop_in_step,
                   .stop_checkpoint = script_.stop_checkpoint,
                   .checkpoint_now = step_ == script_.checkpoint_in_step};
  }

 private:
  std::uint32_t rank_;
  Script script_;
  std::mutex mutex_;
  std::ofstream out_;
  std::int64_t step_ = 0;
};

// Exit statuses of a rank.
inline constexpr int kFinished = 0, kReleased = 1, kNotFinite = 2, kPeerGone = 3, kOther = 4;

struct Run {
  std::uint32_t size = 1;
  std::uint32_t attempt = 1;
  bool resume = false;
  Script script{};
  std::string name = "run";  // runs of one name share their checkpoints
};

struct Ended {
  std::vector<int> statuses;
  std::vector<enginelink::ToWorker> said;  // by rank 0, beats aside, of this run alone
  std::string weights;                     // digest of rank 0's weights at the end
  train::Metrics metrics;                  // of TrainingEnd
  std::string error;                       // TrainingEnd's or Run's
  std::int64_t step = 0;

  template <typename Message>
  std::vector<Message> All() const {
    std::vector<Message> all;
    for (const auto& message : said) {
      if (const auto* one = std::get_if<Message>(&message)) all.push_back(*one);
    }
    return all;
  }
  // step -> state_digest
  std::map<std::uint64_t, std::string> Checkpoints() const {
    std::map<std::uint64_t, std::string> digests;
    for (const auto& one : All<enginelink::Checkpoint>()) digests[one.step] = one.state_digest;
    return digests;
  }
};

inline std::string DigestOf(std::span<const float> values) {
  Sha256 hash;
  hash.Update(std::as_bytes(values));
  return hash.Finish().ToString();
}

class Trainers {
 public:
  explicit Trainers(const std::string& name) : job_(name) {}

  spec::JobSpec spec = SmallJob::Spec();
  const SmallJob& job() const { return job_; }
  fs::path CheckpointsOf(const std::string& name) const { return job_.root / name / "checkpoints"; }
  fs::path ExportOf(const std::string& name) const { return job_.root / name / "export"; }

  Ended Train(const Run& run) const {
    const fs::path folder = job_.root / run.name;
    fs::create_directories(folder);
    const fs::path log = folder / ("said." + std::to_string(run.attempt));
    const fs::path end = folder / ("end." + std::to_string(run.attempt));
    fs::remove(log);
    fs::remove(end);
    exchange::Gang processes(run.size, [&](std::uint32_t rank, UniqueFd memory) {
      return RunRank(run, rank, std::move(memory), log, end);
    });
    Ended ended;
    ended.statuses = processes.Wait();
    std::ifstream lines(log);
    for (std::string line; std::getline(lines, line);) {
      auto message = enginelink::DecodeToWorker(line);
      EXPECT_TRUE(message.has_value()) << line;
      if (message) ended.said.push_back(std::move(*message));
    }
    std::ifstream result(end);
    if (result) {
      const auto read = nlohmann::json::parse(result);
      ended.weights = read.at("weights");
      ended.error = read.at("error");
      ended.step = read.at("step");
      ended.metrics = read.at("metrics").get<train::Metrics>();
    }
    return ended;
  }

 private:
  int RunRank(const Run& run, std::uint32_t rank, UniqueFd fd, const fs::path& log,
              const fs::path& end) const {
    at::set_num_threads(1);
    std::freopen("/dev/null", "w", stdout);
    auto job = PrepareJob(job_.Inputs(spec));
    if (!job) return Report(end, rank, kOther, job.error().ToString());
    const auto shards = static_cast<std::uint32_t>(spec.training.shards);
    auto memory = exchange::NodeMemory::Attach(
        std::move(fd),
        {.layout = {.elements = static_cast<std::uint64_t>(job->model->layout().total()),
                    .local_size = run.size,
                    .gradient_levels = exchange::LevelsFor(shards / run.size),
                    .shards = shards,
                    .generation = run.attempt,
                    .frozen = job->frozen()},
         .local_rank = rank});
    if (!memory) return Report(end, rank, kOther, memory.error().ToString());
    const auto exchange = exchange::MakeNodeExchange(*memory);
    train::Gang gang{.rank = rank,
                     .size = run.size,
                     .memory = *memory,
                     .exchange = *exchange,
                     .gather = [&](std::string_view mine) { return memory->AllGather(mine); }};
    RecordingLink link(rank, run.script, rank == 0 ? log : fs::path("/dev/null"));
    Trainer trainer({.job = *job,
                     .gang = gang,
                     .link = link,
                     .attempt = run.attempt,
                     .checkpoint_dir = CheckpointsOf(run.name),
                     .resume = run.resume});
    auto done = trainer.Run();
    if (!done) {
      const bool gone = done.error().code == ErrorCode::kUnavailable;
      if (!gone) memory->Abort(done.error().message);
      return Report(end, rank, gone ? kPeerGone : kOther, done.error().ToString());
    }
    if (rank == 0 && done->kind == TrainingEnd::Kind::kFinished) {
      const auto exported = ExportModel(ExportOf(run.name), {.job = *job,
                                                             .parameters = memory->parameters(),
                                                             .frozen = memory->frozen(),
                                                             .metrics = done->metrics,
                                                             .step = done->step});
      if (!exported) return Report(end, rank, kOther, exported.error().ToString());
    }
    return Report(end, rank, static_cast<int>(done->kind), done->error.ToString(), *done,
                  DigestOf(memory->parameters()));
  }

  static int Report(const fs::path& end, std::uint32_t rank, int status, const std::string& error,
                    const TrainingEnd& done = {}, const std::string& weights = "") {
    if (rank == 0) {
      std::ofstream(end) << nlohmann::json{
          {"weights", weights}, {"error", error}, {"step", done.step}, {"metrics", done.metrics}};
    } else if (status == kOther) {
      std::fprintf(stderr, "rank %u: %s\n", rank, error.c_str());
    }
    return status;
  }

  SmallJob job_;
};

}  // namespace tutti::finetune
