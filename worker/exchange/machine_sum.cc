#include "worker/exchange/machine_sum.h"

#include <algorithm>

#include "common/base/check.h"
#include "worker/exchange/sum.h"

namespace tutti::exchange {
namespace {

// What goes between machines at once: 1 MiB.
constexpr std::size_t kBucketElements = 4 * kBlockElements;

}  // namespace

MachineSum::MachineSum(Machines machines, std::span<float> slice)
    : machines_(machines), slice_(slice) {
  for (std::uint32_t bit = 1; bit < machines.count; bit <<= 1) {
    Round& round = rounds_.emplace_back(Round{.peer = machines.index ^ bit});
    for (std::vector<float>& buffer : round.received) {
      buffer.resize(std::min(kBucketElements, slice.size()));
    }
  }
}

void MachineSum::Begin() {
  for (Round& round : rounds_) round.started = round.ended = 0;
}

std::size_t MachineSum::buckets() const {
  return (slice_.size() + kBucketElements - 1) / kBucketElements;
}

std::span<float> MachineSum::Bucket(std::size_t index) const {
  const std::size_t end = slice_.size() - index * kBucketElements;
  const std::size_t size = std::min(kBucketElements, end);
  return slice_.subspan(end - size, size);
}

std::size_t MachineSum::BucketsReady(std::size_t ready) const {
  return ready == 0 ? buckets() : (slice_.size() - ready) / kBucketElements;
}

Status MachineSum::Start(Round& round) {
  const std::span<float> mine = Bucket(round.started);
  const std::span<float> theirs(round.received[round.started % kWindow]);
  ++round.started;
  return machines_.link->Start(round.peer, std::as_bytes(mine),
                               std::as_writable_bytes(theirs.first(mine.size())));
}

void MachineSum::End(Round& round) {
  const std::span<float> mine = Bucket(round.ended);
  const float* const terms[] = {mine.data(), round.received[round.ended % kWindow].data()};
  TreeSum(terms, mine.data(), mine.size());
  ++round.ended;
}

// Every machine takes the buckets of a round in the same order, and a machine meets another in one
// round only: the swaps of two machines are in order.
Status MachineSum::Advance(std::size_t ready) {
  TUTTI_CHECK(ready <= slice_.size(), ready);
  std::size_t limit = BucketsReady(ready);
  for (Round& round : rounds_) {
    while (round.started > round.ended) {
      TUTTI_ASSIGN_OR_RETURN(const bool over, machines_.link->Poll(round.peer));
      if (!over) break;
      End(round);
    }
    while (round.started < limit && round.started - round.ended < kWindow) {
      TUTTI_RETURN_IF_ERROR(Start(round));
    }
    limit = round.ended;
  }
  return {};
}

// Waits for the foremost bucket: it is in the last round that has any under way, and what it waits
// for depends on no later bucket, on whatever machine.
Status MachineSum::Finish() {
  while (!rounds_.empty()) {
    TUTTI_RETURN_IF_ERROR(Advance(0));
    if (rounds_.back().ended == buckets()) break;
    const auto foremost = std::find_if(rounds_.rbegin(), rounds_.rend(), [](const Round& round) {
      return round.started > round.ended;
    });
    if (foremost == rounds_.rend()) continue;
    TUTTI_RETURN_IF_ERROR(machines_.link->Finish(foremost->peer));
    End(*foremost);
  }
  return {};
}

}  // namespace tutti::exchange
