// Gang's ranks: how they are started, heard and what their exits mean.
#include <sys/mman.h>
#include <unistd.h>

#include <array>

#include "common/base/log.h"
#include "common/base/units.h"
#include "common/wire/protocol.h"
#include "worker/agent/gang.h"
#include "worker/agent/machine.h"
#include "worker/agent/process_state.h"

namespace tutti::agent {
namespace {

constexpr Duration kAliveEvery = std::chrono::milliseconds(500);
constexpr Duration kMemoryEvery = std::chrono::milliseconds(500);
constexpr Duration kProbedAfter = std::chrono::milliseconds(300);  // of silence

}  // namespace

void Gang::Perform(const attempt::SpawnRanks&, const std::string& /*line*/) {
  const tutti::Status prepared = PrepareLaunch();
  for (std::uint32_t local = 0; local < launch_.local_ranks(); ++local) {
    tutti::Status spawned = prepared ? SpawnRank(local) : prepared;
    if (!spawned) Do(attempt::SpawnFailed{local, spawned.error().ToString()});
  }
}

tutti::Status Gang::PrepareLaunch() {
  memory_ = UniqueFd(memfd_create(name().c_str(), MFD_CLOEXEC));
  if (!memory_) return Fail(ErrnoError("cannot make the gang's memory", name(), errno));
  memory_kills_ = MemoryKills();
  PmixGang gang{.name = name(),
                .size = launch_.size(),
                .temp_dir = folder_ / "tmp",
                .uid = getuid(),
                .gid = getgid()};
  if (launch_.size() > launch_.local_ranks()) {
    std::vector<std::string> peers;
    for (const wire::GangMember& member : launch_.members()) {
      peers.push_back(member.address());
      if (member.first_rank() == launch_.first_rank()) {
        gang.this_machine = static_cast<std::uint32_t>(gang.machines.size());
      }
      gang.machines.push_back({.name = member.name(), .ranks = member.ranks()});
    }
    gang.interface = InterfaceTowards(services_.address, peers);
  }
  TUTTI_RETURN_IF_ERROR(services_.pmix.Register(gang));
  in_pmix_ = true;
  return {};
}

Result<enginelink::Spawn> Gang::SpawnOf(std::uint32_t local) const {
  enginelink::Spawn spawn{.arguments = {"train", "--link-fd", "{link}", "--memory-fd", "{memory}"},
                          .fd_names = {"link", "memory", "stdout", "stderr"},
                          .working_dir = (folder_ / "tmp").string(),
                          .memory_limit_bytes = inputs_.memory_limit_bytes,
                          .threads = inputs_.cpus_per_rank};
  TUTTI_ASSIGN_OR_RETURN(spawn.environment,
                         services_.pmix.Environment(name(), launch_.first_rank() + local));
  const std::string threads = std::to_string(inputs_.cpus_per_rank);
  spawn.environment["OMP_NUM_THREADS"] = threads;
  spawn.environment["OPENBLAS_NUM_THREADS"] = threads;
  spawn.environment["MKL_NUM_THREADS"] = threads;
  spawn.environment["OMP_WAIT_POLICY"] = "passive";
  spawn.environment["TMPDIR"] = (folder_ / "tmp").string();
  return spawn;
}

std::uint64_t Gang::LeaseUntil() const {
  return static_cast<std::uint64_t>(services_.lease_until().since_start.count());
}

enginelink::Plan Gang::PlanOf(std::uint32_t local) const {
  enginelink::Plan plan{.job = launch_.job(),
                        .attempt = launch_.attempt(),
                        .spec = inputs_.spec,
                        .rank = launch_.first_rank() + local,
                        .size = launch_.size(),
                        .local_rank = local,
                        .local_size = launch_.local_ranks(),
                        .model_dir = local_.model_dir.string(),
                        .train_path = local_.train_path.string(),
                        .resume = launch_.resume(),
                        .cpus_per_rank = inputs_.cpus_per_rank,
                        .lease_until_ns = LeaseUntil()};
  if (local_.eval_path) plan.eval_path = local_.eval_path->string();
  plan.checkpoint_dir = CheckpointDir();
  plan.export_dir = folder_ / "export";
  plan.cache_dir = services_.settings.dir / "cache" / "tokens";
  for (const wire::CheckpointRef& checkpoint : launch_.checkpoints()) {
    plan.checkpoints.push_back({.step = checkpoint.step(),
                                .path = checkpoint.path(),
                                .state_digest = checkpoint.state_digest()});
  }
  return plan;
}

tutti::Status Gang::SpawnRank(std::uint32_t local) {
  RankRun& rank = ranks_[local];
  const LogShipper::Key key{launch_.job(), launch_.attempt(), launch_.first_rank() + local};
  TUTTI_RETURN_IF_ERROR(services_.logs.Open(key));
  rank.log = key;
  UniqueFd link, output;
  TUTTI_ASSIGN_OR_RETURN(
      rank.link,
      RankLink::Create(
          services_.loop, link, [this, local](std::string line) { OnLine(local, std::move(line)); },
          [this, local](const Error& error) {
            Do(attempt::FromRank{local, enginelink::Failed{.rank = launch_.first_rank() + local,
                                                           .reason = "internal",
                                                           .message = error.ToString()}});
          }));
  TUTTI_ASSIGN_OR_RETURN(rank.output,
                         OutputPipe::Create(services_.loop, output, [this, key](auto data) {
                           services_.logs.Append(key, data);
                         }));
  TUTTI_ASSIGN_OR_RETURN(const enginelink::Spawn spawn, SpawnOf(local));
  // One pipe for both: what a rank writes stays in order.
  const std::array<int, 4> fds = {link.get(), memory_.get(), output.get(), output.get()};
  rank.child = services_.children.Spawn(
      spawn, fds,
      {.on_spawned = [this, local](Result<pid_t> pid) { OnSpawned(local, std::move(pid)); },
       .on_exited = [this, local](const Children::Exit& exit) { OnExited(local, exit); }});
  rank.link->Send(PlanOf(local));
  return {};
}

void Gang::OnSpawned(std::uint32_t local, Result<pid_t> pid) {
  if (!pid) {
    ranks_[local].child.reset();
    return Do(attempt::SpawnFailed{local, pid.error().ToString()});
  }
  Do(attempt::Spawned{local, *pid});
  // Too late: the gang has been given up without it.
  if (state_.ranks[local].life != attempt::Rank::Life::kAlive && ranks_[local].child) {
    services_.children.Kill(*ranks_[local].child);
  }
}

void Gang::SayAlive() {
  const Instant now = MonotonicNow();
  if (now < next_alive_) return;
  next_alive_ = now + kAliveEvery;
  for (const RankRun& rank : ranks_) {
    if (rank.link && rank.child) rank.link->Send(enginelink::Alive{.lease_until_ns = LeaseUntil()});
  }
}

// A rank that a signal stopped says nothing, and nothing else tells it from one that computes.
void Gang::ProbeSilentRanks() {
  const Instant now = MonotonicNow();
  for (std::uint32_t local = 0; local < state_.ranks.size(); ++local) {
    const attempt::Rank& rank = state_.ranks[local];
    if (rank.life != attempt::Rank::Life::kAlive || now - rank.last_beat < kProbedAfter) continue;
    Do(attempt::RankProbed{local, IsStopped(rank.pid)});
  }
}

// Where no control group limits a rank: what it uses is looked at, and one that uses more than its
// job said is the gang's end.
void Gang::WatchMemory() {
  const Instant now = MonotonicNow();
  if (now < next_memory_look_) return;
  next_memory_look_ = now + kMemoryEvery;
  memory_bytes_.clear();
  for (std::uint32_t local = 0; local < state_.ranks.size(); ++local) {
    if (state_.ranks[local].life != attempt::Rank::Life::kAlive) continue;
    const std::uint64_t bytes = ResidentBytes(state_.ranks[local].pid);
    memory_bytes_.push_back(bytes);
    const std::uint64_t limit = inputs_.memory_limit_bytes;
    if (limit == 0 || bytes <= limit) continue;
    const auto text = [](std::uint64_t count) {
      return FormatBytes({static_cast<std::int64_t>(count)});
    };
    return Do(attempt::MemoryExceeded{
        .rank = local,
        .message = "rank " + std::to_string(launch_.first_rank() + local) + " uses " + text(bytes) +
                   " of memory, its limit is " + text(limit) +
                   "; raise resources.memory_per_rank, or lower training.micro_batch_size or "
                   "data.max_length"});
  }
}

void Gang::OnLine(std::uint32_t local, std::string line) {
  auto message = enginelink::DecodeToWorker(line);
  if (!message) {
    return Do(attempt::FromRank{
        local, enginelink::Failed{.rank = launch_.first_rank() + local,
                                  .reason = "internal",
                                  .message = "it talks nonsense: " + message.error().ToString()}});
  }
  Do(attempt::FromRank{local, std::move(*message)}, std::move(line));
}

void Gang::OnExited(std::uint32_t local, const Children::Exit& exit) {
  RankRun& rank = ranks_[local];
  rank.child.reset();
  // What it said last explains how it ended.
  if (rank.link) rank.link->Drain();
  if (rank.output) rank.output->Drain();
  const auto kills = MemoryKills();
  if (exit.wait_status != 0 && kills && memory_kills_ && *kills > *memory_kills_) {
    Do(attempt::MemoryExceeded{
        .rank = {},
        .message = "the kernel killed a process for memory; fewer rows in micro_batch_size or "
                   "more resources.memory_per_rank may help"});
  }
  Do(attempt::RankExited{local, exit.wait_status, exit.memory_peak_bytes});
}

}  // namespace tutti::agent
