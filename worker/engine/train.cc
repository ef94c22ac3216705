#include "worker/engine/train.h"

#include <sys/mman.h>

#include <bit>
#include <cerrno>
#include <exception>
#include <iostream>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/log.h"
#include "jobs/spec/parse.h"
#include "worker/engine/blas.h"
#include "worker/engine/exception.h"
#include "worker/engine/exit_codes.h"
#include "worker/engine/link.h"
#include "worker/engine/threads.h"
#include "worker/engine/world.h"
#include "worker/exchange/gradient_exchange.h"
#include "worker/exchange/node_memory.h"
#include "worker/finetune/export.h"
#include "worker/finetune/job.h"
#include "worker/finetune/trainer.h"
#include "worker/mpi/gather.h"
#include "worker/mpi/peer_link.h"

namespace tutti::engine {
namespace {

using enginelink::Done;
using enginelink::Failed;
using enginelink::Plan;
using finetune::TrainingEnd;

constexpr auto kPlanDeadline = std::chrono::seconds(60);
// A rank whose peer failed is not the cause: it lets the cause be heard first, and the worker kills
// the gang then.
constexpr auto kPeerGrace = std::chrono::seconds(2);

// How a rank ends without success.
struct Failure {
  ExitCode exit = kExitInternal;
  std::string reason;  // SPEC.md's
  Error error;
  std::uint64_t step = 0;
};

Failure FailureOf(Error error) {
  return {
      .exit = ExitCodeOf(error.code), .reason = ReasonOf(error.code), .error = std::move(error)};
}

class Rank {
 public:
  Rank(FdLink& link, const TrainArguments& arguments) : link_(link), arguments_(arguments) {}

  int Run() {
    std::optional<Failure> failure;
    try {
      failure = Train();
    } catch (const std::bad_alloc&) {
      failure = FailureOf({ErrorCode::kQuota, "out of memory", "",
                           "raise resources.memory_per_rank or lower training.micro_batch_size"});
    } catch (const std::exception& exception) {
      failure = FailureOf(UnexpectedError(exception));
    }
    return failure ? Give(*failure) : kExitOk;
  }

 private:
  std::optional<Failure> Train() {
    auto plan = link_.AwaitPlan(kPlanDeadline);
    if (!plan) return FailureOf(plan.error());
    plan_ = std::move(*plan);
    if (const auto blas = CheckBlas(); !blas) {
      return Failure{.exit = kExitBlas, .reason = "internal", .error = blas.error()};
    }
    if (plan_.lease_until_ns > 0) link_.SetLease(std::chrono::nanoseconds(plan_.lease_until_ns));
    SetThreads(static_cast<int>(plan_.cpus_per_rank));
    auto world = World::Join();
    if (!world) return FailureOf(world.error());
    if (auto stranger = CheckWorld(*world)) return stranger;
    if (const Status done = TrainInWorld(); !done) return FailureOf(done.error());
    if (failure_) return failure_;
    world->Leave();
    return std::nullopt;
  }

  std::optional<Failure> CheckWorld(const World& world) const {
    if (world.rank() == plan_.rank && world.size() == plan_.size) return std::nullopt;
    return Failure{
        .exit = kExitGang,
        .reason = "internal",
        .error = {ErrorCode::kInternal,
                  "MPI's world has " + std::to_string(world.size()) + " ranks and this is rank " +
                      std::to_string(world.rank()) + "; by the plan it is rank " +
                      std::to_string(plan_.rank) + " of " + std::to_string(plan_.size),
                  "MPI_Init", "ranks are started by a worker, all of a gang's"}};
  }

  Result<finetune::Job> Prepare() const {
    auto spec = spec::FromJson(plan_.spec);
    if (!spec) return Fail(spec.error().front());
    return finetune::PrepareJob(
        {.spec = std::move(*spec),
         .model_dir = plan_.model_dir,
         .train_path = plan_.train_path,
         .eval_path = plan_.eval_path ? std::optional<std::filesystem::path>(*plan_.eval_path)
                                      : std::nullopt,
         .cache_dir = plan_.cache_dir});
  }

  Result<exchange::NodeMemory> AttachMemory(const finetune::Job& job) const {
    const auto shards = static_cast<std::uint32_t>(job.spec.training.shards);
    if (plan_.local_size == 0 || plan_.size % plan_.local_size != 0) {
      return Fail(ErrorCode::kInternal, "the gang's machines do not have equally many ranks",
                  "plan.local_size");
    }
    if (!std::has_single_bit(shards) || !std::has_single_bit(plan_.size) || shards < plan_.size) {
      return Fail(
          ErrorCode::kInvalid,
          std::to_string(plan_.size) + " ranks cannot share " + std::to_string(shards) + " shards",
          "training.shards", "both are powers of two, and there are as many shards or more");
    }
    const int given = arguments_.memory_fd >= 0 ? arguments_.memory_fd : plan_.memory_fd;
    UniqueFd memory(given >= 0 ? given : memfd_create("tutti", MFD_CLOEXEC));
    if (!memory) return Fail(ErrnoError("cannot make", "the gang's memory", errno));
    return exchange::NodeMemory::Attach(
        std::move(memory),
        {.layout = {.elements = static_cast<std::uint64_t>(job.model->layout().total()),
                    .local_size = plan_.local_size,
                    .gradient_levels = exchange::LevelsFor(shards / plan_.size),
                    .shards = shards,
                    .generation = plan_.attempt,
                    .frozen = job.frozen()},
         .local_rank = plan_.local_rank});
  }

  Status TrainInWorld() {
    TUTTI_RETURN_IF_ERROR(link_.Send(enginelink::Beat{.rank = plan_.rank, .phase = "load"}));
    TUTTI_ASSIGN_OR_RETURN(finetune::Job job, Prepare());
    TUTTI_ASSIGN_OR_RETURN(exchange::NodeMemory memory, AttachMemory(job));
    const exchange::Machines machines{.count = plan_.size / plan_.local_size,
                                      .index = plan_.rank / plan_.local_size};
    const auto on_wait = [this] { return trainer_ == nullptr ? Status() : trainer_->Waiting(); };
    memory.SetOnWait(on_wait);
    const auto peers = mpi::MakePeerLink(
        {.local_rank = plan_.local_rank, .local_size = plan_.local_size, .on_wait = on_wait});
    const auto exchange =
        exchange::MakeNodeExchange(memory, {machines.count, machines.index, peers.get()});
    train::Gang gang{.rank = plan_.rank,
                     .size = plan_.size,
                     .memory = memory,
                     .exchange = *exchange,
                     .gather = [&memory, machines, on_wait](std::string_view mine) {
                       return machines.count == 1 ? memory.AllGather(mine)
                                                  : mpi::AllGather(mine, on_wait);
                     }};
    const Status trained = TrainInGang(job, gang);
    // After a failure the peers wait for what will not come: first the worker hears why, then they.
    if (failure_ && failure_->exit == kExitNumeric) return {};  // all ranks saw the same
    if (!trained && ExitCodeOf(trained.error().code) != kExitPeer) {
      Tell(FailureOf(trained.error()));
      memory.Abort("rank " + std::to_string(plan_.rank) + ": " + trained.error().ToString());
    }
    return trained;
  }

  Status TrainInGang(finetune::Job& job, train::Gang& gang) {
    finetune::Trainer trainer({.job = job,
                               .gang = gang,
                               .link = link_,
                               .attempt = plan_.attempt,
                               .checkpoint_dir = plan_.checkpoint_dir,
                               .resume = plan_.resume});
    trainer_ = &trainer;
    auto ended = trainer.Run();
    trainer_ = nullptr;
    TUTTI_ASSIGN_OR_RETURN(const TrainingEnd end, std::move(ended));
    const auto step = static_cast<std::uint64_t>(end.step);
    if (end.kind == TrainingEnd::Kind::kNotFinite) {
      failure_ =
          Failure{.exit = kExitNumeric, .reason = "numeric", .error = end.error, .step = step};
      return {};
    }
    Done done{.outcome = Done::Outcome::kReleased, .step = step};
    if (end.kind == TrainingEnd::Kind::kFinished) {
      TUTTI_RETURN_IF_ERROR(link_.Send(enginelink::Beat{.rank = plan_.rank,
                                                        .step = step,
                                                        .collective = gang.exchange.collectives(),
                                                        .phase = "export"}));
      done.outcome = Done::Outcome::kSucceeded;
      done.metrics = end.metrics;
      if (plan_.rank == 0) {
        TUTTI_ASSIGN_OR_RETURN(
            done.files,
            finetune::ExportModel(plan_.export_dir, {.job = job,
                                                     .parameters = gang.memory.parameters(),
                                                     .frozen = gang.memory.frozen(),
                                                     .metrics = end.metrics,
                                                     .step = end.step}));
      }
      TUTTI_RETURN_IF_ERROR(gang.gather(""));  // nobody leaves before the model is written
    }
    // Rank 0's says what came of it; a worker without rank 0 hears that all went well.
    return plan_.local_rank == 0 ? link_.Send(done) : Status();
  }

  void Tell(const Failure& failure) {
    if (std::exchange(told_, true)) return;
    const Error& error = failure.error;
    std::cerr << "tutti-engine: rank " << plan_.rank << ": " << error.ToString() << std::endl;
    static_cast<void>(link_.Send(Failed{.rank = plan_.rank,
                                        .reason = failure.reason,
                                        .message = error.message,
                                        .where = error.where,
                                        .hint = error.hint,
                                        .step = failure.step,
                                        .consequence = failure.exit == kExitPeer}));
  }

  int Give(const Failure& failure) {
    if (failure.exit == kExitPeer) link_.AwaitEnd(kPeerGrace);
    Tell(failure);
    return failure.exit;
  }

  FdLink& link_;
  const TrainArguments arguments_;
  Plan plan_;
  finetune::Trainer* trainer_ = nullptr;  // while it runs
  std::optional<Failure> failure_;        // not finite
  bool told_ = false;
};

}  // namespace

int RunTrain(const TrainArguments& arguments) {
  if (arguments.link_fd < 0) {
    std::cerr << "tutti-engine: train: --link-fd is missing: a worker starts a gang's ranks, and "
                 "hands each its plan on that descriptor"
              << std::endl;
    return kExitUsage;
  }
  FdLink link{UniqueFd(arguments.link_fd)};
  return Rank(link, arguments).Run();
}

}  // namespace tutti::engine
