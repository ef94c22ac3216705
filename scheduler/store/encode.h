// Facts, jobs and nodes as bytes and back (journal.proto). Pure functions; no threads.
//
// Decoding checks everything an Apply could stumble over: unknown types, reasons and ids out of
// range are errors that name the field.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "scheduler/core/ledger.h"

namespace tutti::store {

std::string EncodeFact(const core::Fact& fact);
Result<core::Fact> DecodeFact(std::string_view bytes);

// A job outside the ledger: `finish_order` is its key in Ledger::finished, 0 = not finished.
struct StoredJob {
  core::Job job;
  std::uint64_t finish_order = 0;
};
// Its spec is most of a job, and in the journal already.
enum class SpecOfJob : std::uint8_t { kInRow, kInJournal };
std::string EncodeJob(const core::Job& job, std::uint64_t finish_order = 0,
                      SpecOfJob spec = SpecOfJob::kInRow);
Result<StoredJob> DecodeJob(std::string_view bytes);

// Slot use and gangs of a node are derived from the jobs, not stored.
std::string EncodeNode(const core::Node& node);
Result<core::Node> DecodeNode(std::string_view bytes);

struct Counters {
  std::uint64_t generation = 0;
  std::uint64_t last_sequence = 0;
  std::uint64_t facts_applied = 0;
  std::uint64_t last_finished = 0;
  core::Sharing sharing = {};
  core::Learned learned = {};
};
std::string EncodeCounters(const Counters& counters);
Result<Counters> DecodeCounters(std::string_view bytes);

// What a fact is about, for the journal's index: its job, or nothing.
const JobId* JobOf(const core::Fact& fact);
WallTime TimeOf(const core::Fact& fact);

}  // namespace tutti::store
