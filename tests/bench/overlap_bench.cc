// Benchmark: a training step of two machines with one rank each whose sum overlaps backward, beside
// the same step that sums after backward, in turn. Run by tests/bench/run under mpirun.
//
//   overlap_bench HIDDEN LAYERS VOCABULARY ROWS TOKENS STEPS
//     prints "with_seconds without_seconds backward_seconds" for each pair of steps
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <mpi.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "worker/exchange/gradient_exchange.h"
#include "worker/model/model.h"
#include "worker/model/random.h"
#include "worker/mpi/peer_link.h"

namespace {

using tutti::exchange::GradientExchange;
using tutti::exchange::NodeMemory;
using tutti::model::Batch;
using tutti::model::Model;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

[[noreturn]] void Give(const std::string& why) {
  std::fprintf(stderr, "overlap_bench: %s\n", why.c_str());
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::exit(1);
}

struct Size {
  int hidden, layers, vocabulary, rows, tokens;
};

std::unique_ptr<Model> MakeBert(const Size& size) {
  const auto number = [](int value) { return std::to_string(value); };
  auto config = tutti::model::ParseModelConfig(
      R"({"model_type": "bert", "num_labels": 18, "max_position_embeddings": 512, "vocab_size": )" +
          number(size.vocabulary) + R"(, "hidden_size": )" + number(size.hidden) +
          R"(, "intermediate_size": )" + number(4 * size.hidden) + R"(, "num_attention_heads": )" +
          number(size.hidden / 64) + R"(, "num_hidden_layers": )" + number(size.layers) + "}",
      "bench");
  if (!config) Give(config.error().ToString());
  auto model = tutti::model::MakeModel(*config);
  if (!model) Give(model.error().ToString());
  return std::move(*model);
}

Batch MakeBatch(const Size& size, int rank) {
  Batch batch{.rows = size.rows, .columns = size.tokens};
  for (int i = 0; i < size.rows * size.tokens; ++i) {
    batch.input_ids.push_back(1 + (i * 37 + rank * 11) % (size.vocabulary - 1));
  }
  return batch;
}

class Bench {
 public:
  Bench(const Size& size, int rank) : model_(MakeBert(size)), batch_(MakeBatch(size, rank)) {
    const auto elements = static_cast<std::uint64_t>(model_->layout().total());
    auto memory = NodeMemory::Attach(
        tutti::UniqueFd(memfd_create("overlap_bench", MFD_CLOEXEC)),
        {.layout = {.elements = elements, .shards = 2, .snapshot = false, .generation = 1}});
    if (!memory) Give(memory.error().ToString());
    memory_.emplace(std::move(*memory));
    tutti::model::FillNormal(1, 0.02, memory_->parameters());
    link_ = tutti::mpi::MakePeerLink({.local_size = 1});
    exchange_ = tutti::exchange::MakeNodeExchange(
        *memory_, {.count = 2, .index = static_cast<std::uint32_t>(rank), .link = link_.get()});
    model_->Bind(memory_->parameters().data());
    model_->BindGradients(exchange_->gradient().data());
  }

  double backward_seconds() const { return backward_seconds_; }

  // Seconds of a step, from a moment when both ranks are ready.
  double Step(bool overlap) {
    std::ranges::fill(exchange_->gradient(), 0.0F);
    MPI_Barrier(MPI_COMM_WORLD);
    const double begin = Now();
    const auto logits = model_->Forward(batch_, {.training = true, .seed = 1});
    if (!logits) Give(logits.error().ToString());
    const double forward = Now();
    if (overlap) {
      model_->Backward(logits->clone(), [this](std::int64_t from) {
        exchange_->FinishFrom(static_cast<std::uint64_t>(from));
      });
    } else {
      model_->Backward(logits->clone());
      backward_seconds_ = Now() - forward;
    }
    exchange_->FinishShard(0, {.loss = 1, .items = 1});
    const auto reduced = exchange_->Reduce(0);
    if (!reduced) Give(reduced.error().ToString());
    if (const auto updated = exchange_->Update([](const auto&) {}); !updated) {
      Give(updated.error().ToString());
    }
    const double seconds = Now() - begin;
    if (norm_ != 0 && norm_ != reduced->norm) Give("the two ways differ");
    norm_ = reduced->norm;
    return seconds;
  }

 private:
  std::unique_ptr<Model> model_;
  Batch batch_;
  std::optional<NodeMemory> memory_;
  std::unique_ptr<tutti::exchange::PeerLink> link_;
  std::unique_ptr<GradientExchange> exchange_;
  double backward_seconds_ = 0;
  double norm_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (argc != 7 || size != 2) {
    Give("usage: overlap_bench HIDDEN LAYERS VOCABULARY ROWS TOKENS STEPS, in two ranks");
  }
  at::set_num_threads(1);
  Bench bench({.hidden = std::atoi(argv[1]),
               .layers = std::atoi(argv[2]),
               .vocabulary = std::atoi(argv[3]),
               .rows = std::atoi(argv[4]),
               .tokens = std::atoi(argv[5])},
              rank);
  for (int pair = -2; pair < std::atoi(argv[6]); ++pair) {  // the first two touch the pages
    const double with = bench.Step(true);
    const double without = bench.Step(false);
    if (rank == 0 && pair >= 0) {
      std::printf("%.9f %.9f %.9f\n", with, without, bench.backward_seconds());
      std::fflush(stdout);
    }
  }
  MPI_Finalize();
  return 0;
}
