// Benchmark: launch -> exit of a gang, through a worker's zygote and PMIx server. tests/bench/run
// interleaves it with mpirun of the same engine: each line on stdin is one run.
//
//   launch_bench ENGINE RANKS   reads lines, answers each with seconds
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <string>

#include "worker/agent/loop.h"
#include "worker/agent/pmix.h"
#include "worker/agent/zygote.h"

namespace {

using tutti::Duration;
using tutti::Instant;
using tutti::MonotonicNow;
using namespace std::chrono_literals;

class Bench {
 public:
  Bench(std::string engine, std::uint32_t ranks, std::filesystem::path folder)
      : ranks_(ranks), folder_(std::move(folder)) {
    auto loop = tutti::agent::Loop::Create();
    auto pmix = tutti::agent::PmixServer::Start({.temp_dir = folder_, .on_abort = {}});
    if (!loop || !pmix) Give("cannot start a PMIx server");
    loop_ = std::move(*loop);
    pmix_ = std::move(*pmix);
    zygote_ = std::make_unique<tutti::agent::Zygote>(
        tutti::agent::Zygote::Options{.loop = *loop_,
                                      .command = {std::move(engine)},
                                      .log_path = folder_ / "zygote.log",
                                      .on_spawned =
                                          [](const tutti::enginelink::Spawned& spawned) {
                                            if (spawned.pid == 0) Give(spawned.error);
                                          },
                                      .on_exited =
                                          [this](const tutti::enginelink::Exited& exited) {
                                            if (exited.wait_status != 0) Give("a rank failed");
                                            ++exited_;
                                          },
                                      .on_died = [] { Give("the zygote died"); }});
    if (!zygote_->Start()) Give("cannot start the zygote");
  }

  double Run() {
    const std::string gang = "launch-" + std::to_string(++runs_);
    const auto temp = folder_ / gang;
    const Instant begin = MonotonicNow();
    std::filesystem::create_directories(temp);
    if (!pmix_->Register(
            {.name = gang, .size = ranks_, .temp_dir = temp, .uid = getuid(), .gid = getgid()})) {
      Give("cannot register the gang");
    }
    exited_ = 0;
    for (std::uint32_t rank = 0; rank < ranks_; ++rank) {
      auto environment = pmix_->Environment(gang, rank);
      if (!environment) Give(environment.error().ToString());
      tutti::enginelink::Spawn spawn{.id = rank + 1, .arguments = {"world"}};
      spawn.environment = std::move(*environment);
      if (!zygote_->Send(spawn, {})) Give("cannot spawn");
    }
    const Instant deadline = MonotonicNow() + Duration(60s);
    while (exited_ < ranks_) {
      loop_->RunOnce(100ms);
      if (MonotonicNow() > deadline) Give("the gang hangs");
    }
    pmix_->Deregister(gang);
    std::filesystem::remove_all(temp);
    return std::chrono::duration<double>(MonotonicNow() - begin).count();
  }

  [[noreturn]] static void Give(const std::string& why) {
    std::cerr << "launch_bench: " << why << '\n';
    std::_Exit(1);
  }

 private:
  std::uint32_t ranks_;
  std::filesystem::path folder_;
  std::unique_ptr<tutti::agent::Loop> loop_;
  std::unique_ptr<tutti::agent::PmixServer> pmix_;
  std::unique_ptr<tutti::agent::Zygote> zygote_;
  std::uint32_t exited_ = 0;
  int runs_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) Bench::Give("usage: launch_bench ENGINE RANKS");
  char name[] = "/tmp/tutti-launch-bench-XXXXXX";
  const std::filesystem::path folder = mkdtemp(name);
  {
    Bench bench(argv[1], static_cast<std::uint32_t>(std::stoul(argv[2])), folder);
    std::string line;
    while (std::getline(std::cin, line)) std::cout << bench.Run() << std::endl;
  }
  std::filesystem::remove_all(folder);
  return 0;
}
