// The store: the journal of facts, snapshots of the ledger, the archive of jobs that left it, and
// the tokens of people, in one SQLite database. Nothing outside this folder knows that it is
// SQLite.
//
// Owned by the coordinator's writer thread, which is the only one to call it. The database is
// locked while open: a second coordinator on it is refused.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/base/time.h"
#include "common/digest/sha256.h"
#include "scheduler/core/ledger.h"

namespace tutti::store {

class DatabaseCopy;

inline constexpr int kSchemaVersion = 5;

struct StoreOptions {
  std::uint64_t snapshot_every_facts = 20'000;  // MaybeSnapshot does nothing before
};

struct JournalEntry {
  std::uint64_t seq = 0;  // 1, 2, … without gaps
  core::Fact fact;
};

// A token as it is kept: by its digest.
struct StoredToken {
  std::string id;  // "t-0123456789"
  Digest sha256;   // of the token
  std::string scope;
  std::string name;
  std::string user;
  WallTime created = {};
  std::optional<WallTime> expires = {};
  std::optional<WallTime> last_used = {};
};

// A webhook of the cluster.
struct StoredWebhook {
  std::string id;  // "h-01234567"
  std::string name;
  std::string url;
  std::string on;  // states, with commas
  std::string user;
  WallTime created = {};
  std::uint64_t after_seq = 0;  // it is told of later facts only
};

// A message that no receiver has taken yet.
struct StoredDelivery {
  std::string id;       // of the message
  std::string webhook;  // of the cluster, by id; "" = a job's
  std::string url;      // of a job's
  std::string user;     // whose job
  std::string body;
  std::uint64_t tries = 0;
};

class Store {
 public:
  // Opens or makes the database, migrates an older schema, checks its integrity.
  //   kConflict  another coordinator has it open      kUnsupported  a newer Tutti wrote it
  //   kIo        it is damaged: says what and how to go on      kDiskFull
  static Result<std::unique_ptr<Store>> Open(const std::filesystem::path& path,
                                             StoreOptions options = {});
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // The ledger: snapshot, then Apply of every later fact. A damaged snapshot is left aside when the
  // journal goes back to its start; anything else that is damaged is kIo, never a guess.
  Result<core::Ledger> Recover();

  // One transaction, on disk when it returns. `archived`: the jobs that JobArchived facts among
  // `facts` remove, as they were. After an error nothing of it is stored.
  Status Append(std::span<const core::Fact> facts, std::span<const core::Job> archived = {});

  // Writes the rows of `ledger` that changed since the last snapshot, once enough facts came.
  // `ledger` must be what Append has stored.
  Status MaybeSnapshot(const core::Ledger& ledger);

  // A write that changes nothing: whether the disk takes data again.
  Status Probe();

  // Facts after `after`, oldest first, at most `limit`; of all jobs, of one.
  // REQUIRES of ReadOf: Recover has been called, or the database was new.
  Result<std::vector<JournalEntry>> Read(std::uint64_t after, std::size_t limit);
  Result<std::vector<JournalEntry>> ReadOf(JobId job, std::uint64_t after, std::size_t limit);
  std::uint64_t last_seq() const { return last_seq_; }

  // Archived jobs: by id, unique id prefix or name (the newest); kNotFound.
  Result<core::Job> FindArchived(std::string_view text);
  // Newest first, submitted before `before_sequence` (0 = any).
  Result<std::vector<core::Job>> ListArchived(std::uint64_t before_sequence, std::size_t limit);

  // Each on disk when it returns. Tokens(): oldest first.
  Status PutToken(const StoredToken& token);
  Status RemoveToken(std::string_view id);
  Status TokensUsed(std::span<const std::pair<std::string, WallTime>> uses);
  Result<std::vector<StoredToken>> Tokens();

  // Each on disk when it returns. A webhook goes with what waits for it.
  Status PutWebhook(const StoredWebhook& webhook);
  Status RemoveWebhook(std::string_view id);
  Result<std::vector<StoredWebhook>> Webhooks();  // oldest first
  // Messages that wait, and the last fact that was looked at for them; nullopt before the first
  // SaveDeliveries.
  Result<std::vector<StoredDelivery>> Deliveries();
  Result<std::optional<std::uint64_t>> DeliveriesSeq();
  // One transaction: `waiting` are added or changed, those with the ids of `over` go.
  Status SaveDeliveries(std::uint64_t seq, std::span<const StoredDelivery> waiting,
                        std::span<const std::string> over);

  // A copy of the database as a file of its own, made piece by piece while it is in use: what is
  // stored between the pieces is in it too. BeginCopy gives up one that was begun before. `to` must
  // not exist. CopyMore: at most so many pages; true once all of it is there.
  Status BeginCopy(const std::filesystem::path& to);
  Result<bool> CopyMore(int pages);

  std::uint64_t size_bytes() const;

 private:
  class Database;
  Store(std::unique_ptr<Database> db, std::filesystem::path path, StoreOptions options);

  Result<std::optional<core::Ledger>> LoadSnapshot();
  Status Replay(core::Ledger& ledger, std::uint64_t after);
  Status WriteSnapshot(const core::Ledger& ledger);
  Status IndexRecent();
  std::vector<const core::Job*> ChangedJobs(const core::Ledger& ledger) const;
  Result<std::string> SubmittedSpec(JobId job);
  Result<std::vector<std::uint64_t>> SeqsOf(JobId job, std::uint64_t after, std::size_t limit);

  struct JobFact {
    JobId job;
    std::uint64_t seq = 0;
  };

  std::unique_ptr<Database> db_;
  std::unique_ptr<DatabaseCopy> copy_;  // under way; reads through db_
  std::filesystem::path path_;
  StoreOptions options_;
  std::uint64_t last_seq_ = 0;
  std::uint64_t snapshot_seq_ = 0;
  // Since the snapshot, where the journal's index by job ends: facts, sequences of archived jobs.
  std::vector<JobFact> recent_;
  std::vector<std::uint64_t> gone_;
};

}  // namespace tutti::store
