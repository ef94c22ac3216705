// A rank as the real program, started as a worker would but alone: MPI takes it for a world of one.
#pragma once

#include <sys/resource.h>
#include <sys/socket.h>

#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/enginelink/messages.h"
#include "jobs/spec/parse.h"
#include "tests/worker/engine/engine_process.h"
#include "tests/worker/finetune/small_job.h"

namespace tutti::engine {

class RankProcess {
 public:
  static constexpr int kLinkFd = 3;

  explicit RankProcess(const EngineOptions& options = {}) {
    std::array<int, 2> pair{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) std::abort();
    link_ = UniqueFd(pair[0]);
    const UniqueFd theirs(pair[1]);
    const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    EngineOptions all = options;
    all.environment.insert({{"OMP_NUM_THREADS", "1"}, {"OPENBLAS_NUM_THREADS", "1"}});
    all.fds[kLinkFd] = theirs.get();
    pid_ = StartEngine({"train", "--link-fd", std::to_string(kLinkFd)}, null.get(), null.get(),
                       null.get(), all);
  }
  ~RankProcess() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  void Send(const enginelink::ToEngine& message) { SendText(Encode(message)); }
  void SendText(const std::string& text) {
    ASSERT_EQ(write(link_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void Hang() { link_.Reset(); }

  // The next message that is no Beat; none at the end of the link.
  std::optional<enginelink::ToWorker> Hear() {
    while (true) {
      while (const auto line = lines_.Next()) {
        auto message = enginelink::DecodeToWorker(*line);
        EXPECT_TRUE(message.has_value()) << *line;
        if (message && !std::holds_alternative<enginelink::Beat>(*message)) return *message;
      }
      std::array<char, 65536> data{};
      pollfd ready{link_.get(), POLLIN, 0};
      if (poll(&ready, 1, kDeadlineMs) <= 0) {
        ADD_FAILURE() << "the rank says nothing";
        return std::nullopt;
      }
      const ssize_t size = read(link_.get(), data.data(), data.size());
      if (size <= 0) return std::nullopt;
      EXPECT_TRUE(lines_.Append({data.data(), static_cast<std::size_t>(size)}));
    }
  }
  // The first message of this kind; others before it are dropped.
  template <typename Message>
  std::optional<Message> Await() {
    while (auto message = Hear()) {
      if (auto* wanted = std::get_if<Message>(&*message)) return std::move(*wanted);
    }
    ADD_FAILURE() << "the link ended first";
    return std::nullopt;
  }
  // After the link's end: the exit status, as StatusOf.
  int Wait() {
    int status = 0;
    rusage usage{};
    wait4(std::exchange(pid_, 0), &status, 0, &usage);
    memory_peak_bytes_ = std::int64_t{usage.ru_maxrss} * 1024;
    return StatusOf(status);
  }
  std::int64_t memory_peak_bytes() const { return memory_peak_bytes_; }

 private:
  UniqueFd link_;
  enginelink::LineBuffer lines_;
  pid_t pid_ = 0;
  std::int64_t memory_peak_bytes_ = 0;
};

inline enginelink::Plan PlanOf(const finetune::SmallJob& job, const spec::JobSpec& spec) {
  enginelink::Plan plan;
  plan.job = "j-00000000";
  plan.attempt = 1;
  plan.spec = spec::ToJson(spec);
  plan.model_dir = job.model_dir();
  plan.train_path = job.train_path();
  if (spec.data.eval) plan.eval_path = job.eval_path();
  plan.checkpoint_dir = job.root / "checkpoints";
  plan.export_dir = job.root / "export";
  plan.cache_dir = job.root / "cache";
  return plan;
}

}  // namespace tutti::engine
