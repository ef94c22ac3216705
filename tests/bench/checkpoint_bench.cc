// Benchmark: writing, verifying and reading a checkpoint of a small BERT's state, beside what its
// bytes cost by themselves: a copy, a SHA-256, a plain durable file.
//
//   checkpoint_bench [--benchmark_filter=…]     in $TMPDIR, else /tmp
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include "common/digest/sha256.h"
#include "common/file/file.h"
#include "worker/checkpoint/checkpoint.h"

namespace {

using tutti::checkpoint::TensorPlace;

// Names and shapes of a BERT of 4 layers, 128 wide, with 8,192 words and 18 labels: 1.9 million
// parameters, 23 MB with both moments.
std::vector<TensorPlace> BertTensors() {
  std::vector<TensorPlace> tensors;
  std::int64_t at = 0;
  const auto add = [&](const std::string& name, std::vector<std::int64_t> shape) {
    const std::int64_t count =
        std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
    tensors.push_back({.name = name, .shape = std::move(shape), .offset = at, .count = count});
    at += (count + 15) / 16 * 16;
  };
  const auto dense = [&](const std::string& name, std::int64_t out, std::int64_t in) {
    add(name + ".weight", {out, in});
    add(name + ".bias", {out});
  };
  const auto norm = [&](const std::string& name) {
    add(name + ".LayerNorm.weight", {128});
    add(name + ".LayerNorm.bias", {128});
  };
  add("bert.embeddings.word_embeddings.weight", {8192, 128});
  add("bert.embeddings.position_embeddings.weight", {256, 128});
  add("bert.embeddings.token_type_embeddings.weight", {2, 128});
  norm("bert.embeddings");
  for (int layer = 0; layer < 4; ++layer) {
    const std::string prefix = "bert.encoder.layer." + std::to_string(layer) + ".";
    for (const char* part : {"query", "key", "value"}) {
      dense(prefix + "attention.self." + part, 128, 128);
    }
    dense(prefix + "attention.output.dense", 128, 128);
    norm(prefix + "attention.output");
    dense(prefix + "intermediate.dense", 512, 128);
    dense(prefix + "output.dense", 128, 512);
    norm(prefix + "output");
  }
  dense("bert.pooler.dense", 128, 128);
  dense("classifier", 18, 128);
  return tensors;
}

struct State {
  std::vector<TensorPlace> tensors = BertTensors();
  std::size_t elements =
      static_cast<std::size_t>(tensors.back().offset + tensors.back().count + 65'535) / 65'536 *
      65'536;
  std::vector<float> all = std::vector<float>(3 * elements);
  std::filesystem::path folder;

  State() {
    std::iota(all.begin(), all.end(), 0.5F);
    const char* tmp = std::getenv("TMPDIR");
    folder = std::filesystem::path(tmp != nullptr ? tmp : "/tmp") /
             ("checkpoint_bench-" + std::to_string(getpid()));
    if (!tutti::MakeDirectories(folder).has_value()) std::abort();
  }
  ~State() { (void)tutti::RemoveTree(folder); }

  std::int64_t bytes() const { return static_cast<std::int64_t>(all.size() * sizeof(float)); }
  std::span<float> Part(std::size_t index) {
    return std::span(all).subspan(index * elements, elements);
  }
  tutti::checkpoint::Content content(std::int64_t step) {
    return {.attempt = 1,
            .cursor = {.step = step},
            .spec_digest = "sha256:" + std::string(64, '0'),
            .tensors = tensors,
            .parameters = Part(0),
            .first_moments = Part(1),
            .second_moments = Part(2),
            .metrics = {{"accuracy", 0.5}, {"loss", 1.5}}};
  }
};

State& TheState() {
  static State state;
  return state;
}

void Fail(benchmark::State& run, const tutti::Error& error) {
  run.SkipWithError(error.ToString().c_str());
}

void BM_Write(benchmark::State& run) {
  State& state = TheState();
  std::int64_t step = 0;
  for (auto _ : run) {
    const auto written = tutti::checkpoint::Write(state.folder, state.content(++step));
    if (!written) return Fail(run, written.error());
    run.PauseTiming();
    if (const auto kept = tutti::checkpoint::Collect(state.folder, 2, -1, 1); !kept) {
      return Fail(run, kept.error());
    }
    run.ResumeTiming();
  }
  run.SetBytesProcessed(run.iterations() * state.bytes());
}

void BM_Verify(benchmark::State& run) {
  State& state = TheState();
  const auto written = tutti::checkpoint::Write(state.folder, state.content(1));
  const auto found = tutti::checkpoint::List(state.folder);
  if (!written || !found) return run.SkipWithError("nothing to verify");
  for (auto _ : run) {
    if (const auto ok = tutti::checkpoint::Verify(found->front()); !ok)
      return Fail(run, ok.error());
  }
  run.SetBytesProcessed(run.iterations() * state.bytes());
}

void BM_Read(benchmark::State& run) {
  State& state = TheState();
  const auto written = tutti::checkpoint::Write(state.folder, state.content(1));
  const auto found = tutti::checkpoint::List(state.folder);
  if (!written || !found) return run.SkipWithError("nothing to read");
  std::vector<float> out(state.all.size());
  const auto part = [&](std::size_t i) {
    return std::span(out).subspan(i * state.elements, state.elements);
  };
  for (auto _ : run) {
    const auto ok = tutti::checkpoint::Read(found->front(), {.tensors = state.tensors,
                                                             .parameters = part(0),
                                                             .first_moments = part(1),
                                                             .second_moments = part(2)});
    if (!ok) return Fail(run, ok.error());
  }
  run.SetBytesProcessed(run.iterations() * state.bytes());
}

void BM_Copy(benchmark::State& run) {
  State& state = TheState();
  std::vector<float> out(state.all.size());
  for (auto _ : run) {
    std::ranges::copy(state.all, out.begin());
    benchmark::ClobberMemory();
  }
  run.SetBytesProcessed(run.iterations() * state.bytes());
}

void BM_Sha256(benchmark::State& run) {
  State& state = TheState();
  for (auto _ : run) {
    tutti::Sha256 hash;
    hash.Update(std::as_bytes(std::span(state.all)));
    benchmark::DoNotOptimize(hash.Finish());
  }
  run.SetBytesProcessed(run.iterations() * state.bytes());
}

// write(2) of the same bytes into a file; with range(0), fdatasync too.
void BM_PlainFile(benchmark::State& run) {
  State& state = TheState();
  const std::string path = (state.folder / "plain").string();
  for (auto _ : run) {
    const tutti::UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!tutti::WriteAll(fd.get(), std::as_bytes(std::span(state.all)), path) ||
        (run.range(0) != 0 && fdatasync(fd.get()) != 0)) {
      return run.SkipWithError("cannot write");
    }
    run.PauseTiming();
    unlink(path.c_str());
    run.ResumeTiming();
  }
  run.SetBytesProcessed(run.iterations() * state.bytes());
}

BENCHMARK(BM_Write)->MeasureProcessCPUTime()->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Verify)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Read)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Copy)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Sha256)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_PlainFile)
    ->Arg(0)
    ->Arg(1)
    ->MeasureProcessCPUTime()
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
