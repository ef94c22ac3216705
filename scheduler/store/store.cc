#include "scheduler/store/store.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/check.h"
#include "common/base/log.h"
#include "scheduler/core/rebuild.h"
#include "scheduler/store/copy.h"
#include "scheduler/store/database.h"
#include "scheduler/store/encode.h"

namespace tutti::store {
namespace {

// kMigrations[v] takes a database of version v to v + 1. Never changed once released. That to 4
// changes no table: the snapshot's jobs are written without their specs from then on. From 5 on the
// journal's index by job grows with snapshots and jobs of those are kept by sequence: ids are
// random, so that what is sorted by them has a page written for every fact.
constexpr std::array<const char*, kSchemaVersion> kMigrations = {R"sql(
  CREATE TABLE journal(seq INTEGER PRIMARY KEY, job INTEGER, crc INTEGER NOT NULL, fact BLOB NOT NULL);
  CREATE INDEX journal_job ON journal(job, seq) WHERE job IS NOT NULL;
  CREATE TABLE snapshot_jobs(id INTEGER PRIMARY KEY, crc INTEGER NOT NULL, row BLOB NOT NULL);
  CREATE TABLE snapshot_nodes(id INTEGER PRIMARY KEY, crc INTEGER NOT NULL, row BLOB NOT NULL);
  CREATE TABLE snapshot(id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL,
                        jobs INTEGER NOT NULL, nodes INTEGER NOT NULL, crc INTEGER NOT NULL,
                        counters BLOB NOT NULL);
  CREATE TABLE jobs_archive(id INTEGER PRIMARY KEY, sequence INTEGER NOT NULL UNIQUE,
                            name TEXT NOT NULL, text_id TEXT NOT NULL, row BLOB NOT NULL);
  CREATE INDEX jobs_archive_name ON jobs_archive(name, sequence);
  CREATE INDEX jobs_archive_text ON jobs_archive(text_id);
)sql",
                                                                 R"sql(
  CREATE TABLE tokens(id TEXT PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, scope TEXT NOT NULL,
                      name TEXT NOT NULL, user TEXT NOT NULL, created_ms INTEGER NOT NULL,
                      expires_ms INTEGER NOT NULL, last_used_ms INTEGER NOT NULL);
)sql",
                                                                 R"sql(
  CREATE TABLE webhooks(id TEXT PRIMARY KEY, name TEXT NOT NULL, url TEXT NOT NULL,
                        states TEXT NOT NULL, user TEXT NOT NULL, created_ms INTEGER NOT NULL,
                        after_seq INTEGER NOT NULL);
  CREATE TABLE webhook_deliveries(id TEXT PRIMARY KEY, webhook TEXT NOT NULL, url TEXT NOT NULL,
                                  user TEXT NOT NULL, body TEXT NOT NULL, tries INTEGER NOT NULL);
  CREATE TABLE webhook_seq(id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL);
)sql",
                                                                 "",
                                                                 R"sql(
  CREATE TABLE journal_jobs(job INTEGER, seq INTEGER, PRIMARY KEY(job, seq)) WITHOUT ROWID;
  INSERT INTO journal_jobs SELECT job, seq FROM journal WHERE job IS NOT NULL AND
    seq <= coalesce((SELECT seq FROM snapshot), 0) ORDER BY job, seq;
  DROP INDEX journal_job;
  CREATE TABLE snapshot_sorted(sequence INTEGER PRIMARY KEY, crc INTEGER NOT NULL, row BLOB NOT NULL);
  INSERT OR REPLACE INTO snapshot_sorted SELECT job_sequence(row), crc, row FROM snapshot_jobs;
  DROP TABLE snapshot_jobs;
  ALTER TABLE snapshot_sorted RENAME TO snapshot_jobs;
)sql"};

std::uint64_t Crc(std::string_view bytes) {
  return crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
}

// SQL: job_sequence(row) of a stored job; 0: it is damaged, which is found when the row is read.
void JobSequence(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  const auto* bytes = static_cast<const char*>(sqlite3_value_blob(values[0]));
  const auto size = static_cast<std::size_t>(sqlite3_value_bytes(values[0]));
  const auto stored = DecodeJob(std::string_view(bytes, size));
  sqlite3_result_int64(context, stored ? static_cast<sqlite3_int64>(stored->job.sequence) : 0);
}

Unexpected Damaged(const std::filesystem::path& path, const std::string& what) {
  return Fail(ErrorCode::kIo, "the state database is damaged: " + what, path.string(),
              "restore the data directory from a backup; nothing was changed");
}

}  // namespace

Store::Store(std::unique_ptr<Database> db, std::filesystem::path path, StoreOptions options)
    : db_(std::move(db)), path_(std::move(path)), options_(options) {}

Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::Open(const std::filesystem::path& path,
                                           StoreOptions options) {
  TUTTI_ASSIGN_OR_RETURN(auto db, Database::Open(path));
  // Exclusive: the lock is held until the process ends, so that no second coordinator gets in.
  // FULL: a commit is on disk when it returns. A page holds two submissions; a database that is
  // there keeps its pages. Copying the journal's end into its place takes two more syncs: a few
  // thousand submissions at once.
  TUTTI_RETURN_IF_ERROR(
      db->Execute("PRAGMA page_size=8192; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; "
                  "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000; "
                  "PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;"));
  {
    Database::Transaction lock(*db);
    TUTTI_RETURN_IF_ERROR(lock.Begin());
    std::uint64_t version = 0;
    {
      auto query = db->Prepare("PRAGMA user_version");
      TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
      if (row) version = query.Integer(0);
    }
    if (version > kSchemaVersion) {
      return Fail(ErrorCode::kUnsupported,
                  "the state database has schema version " + std::to_string(version) +
                      ", this Tutti knows up to " + std::to_string(kSchemaVersion),
                  path.string(), "start the newer Tutti that wrote it");
    }
    sqlite3_create_function(db->handle(), "job_sequence", 1, SQLITE_UTF8, nullptr, JobSequence,
                            nullptr, nullptr);
    for (std::uint64_t v = version; v < kSchemaVersion; ++v) {
      TUTTI_RETURN_IF_ERROR(db->Execute(kMigrations[v]));
    }
    const std::string set_version = "PRAGMA user_version=" + std::to_string(kSchemaVersion);
    TUTTI_RETURN_IF_ERROR(db->Execute(set_version.c_str()));
    TUTTI_RETURN_IF_ERROR(lock.Commit());
  }
  {
    auto query = db->Prepare("PRAGMA quick_check(1)");
    TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row || query.Blob(0) != "ok") return Damaged(path, std::string(query.Blob(0)));
  }
  auto store = std::unique_ptr<Store>(new Store(std::move(db), path, options));
  auto query = store->db_->Prepare("SELECT coalesce(max(seq), 0) FROM journal");
  TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
  if (row) store->last_seq_ = query.Integer(0);
  return store;
}

// ---- reading back ----------------------------------------------------------------------------

Result<core::Ledger> Store::Recover() {
  recent_.clear();
  gone_.clear();
  snapshot_seq_ = 0;
  auto snapshot = LoadSnapshot();
  core::Ledger ledger;
  if (!snapshot) {
    // The journal is kept whole, so a damaged snapshot costs time, not data.
    Log(kWarning, "snapshot_damaged", {{"error", snapshot.error().ToString()}});
    snapshot_seq_ = 0;
  } else if (snapshot->has_value()) {
    ledger = std::move(**snapshot);
  }
  TUTTI_RETURN_IF_ERROR(Replay(ledger, snapshot_seq_));
  if (!snapshot) {
    // At once, while nobody waits: all of the journal is to be indexed anew.
    if (const Status written = WriteSnapshot(ledger); !written) {
      Log(kWarning, "snapshot_failed", {{"error", written.error().ToString()}});
    }
  }
  return ledger;
}

Result<std::optional<core::Ledger>> Store::LoadSnapshot() {
  std::uint64_t jobs_expected = 0;
  std::uint64_t nodes_expected = 0;
  core::LedgerParts parts;
  {
    auto query = db_->Prepare("SELECT seq, jobs, nodes, crc, counters FROM snapshot");
    TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return std::nullopt;
    if (query.Integer(3) != Crc(query.Blob(4)) || query.Integer(0) > last_seq_) {
      return Damaged(path_, "the snapshot's head");
    }
    snapshot_seq_ = query.Integer(0);
    jobs_expected = query.Integer(1);
    nodes_expected = query.Integer(2);
    TUTTI_ASSIGN_OR_RETURN(const Counters counters, DecodeCounters(query.Blob(4)));
    parts.generation = counters.generation;
    parts.last_sequence = counters.last_sequence;
    parts.facts_applied = counters.facts_applied;
    parts.last_finished = counters.last_finished;
    parts.sharing = counters.sharing;
    parts.learned = counters.learned;
  }
  {
    auto query = db_->Prepare("SELECT crc, row FROM snapshot_jobs");
    for (;;) {
      TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
      if (!row) break;
      if (query.Integer(0) != Crc(query.Blob(1))) return Damaged(path_, "a job of the snapshot");
      TUTTI_ASSIGN_OR_RETURN(StoredJob stored, DecodeJob(query.Blob(1)));
      if (stored.job.spec_json.empty()) {
        TUTTI_ASSIGN_OR_RETURN(stored.job.spec_json, SubmittedSpec(stored.job.id));
      }
      parts.jobs.emplace_back(std::move(stored.job), stored.finish_order);
    }
  }
  {
    auto query = db_->Prepare("SELECT crc, row FROM snapshot_nodes");
    for (;;) {
      TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
      if (!row) break;
      if (query.Integer(0) != Crc(query.Blob(1))) return Damaged(path_, "a node of the snapshot");
      TUTTI_ASSIGN_OR_RETURN(core::Node node, DecodeNode(query.Blob(1)));
      parts.nodes.push_back(std::move(node));
    }
  }
  if (parts.jobs.size() != jobs_expected || parts.nodes.size() != nodes_expected) {
    return Damaged(path_, "rows of the snapshot are missing");
  }
  return core::Rebuild(std::move(parts));
}

// Of the fact that submitted it: the journal is kept whole.
Result<std::string> Store::SubmittedSpec(JobId job) {
  auto query = db_->Prepare(
      "SELECT crc, fact FROM journal WHERE seq = "
      "(SELECT min(seq) FROM journal_jobs WHERE job = ?1)");
  query.Bind(1, job.value());
  TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
  if (row && query.Integer(0) == Crc(query.Blob(1))) {
    TUTTI_ASSIGN_OR_RETURN(core::Fact fact, DecodeFact(query.Blob(1)));
    if (auto* submitted = std::get_if<core::JobSubmitted>(&fact)) {
      return std::move(submitted->spec_json);
    }
  }
  return Damaged(path_, "the fact that submitted " + job.ToString());
}

Status Store::Replay(core::Ledger& ledger, std::uint64_t after) {
  auto query = db_->Prepare("SELECT seq, crc, fact FROM journal WHERE seq > ?1 ORDER BY seq");
  query.Bind(1, after);
  std::uint64_t expected = after;
  for (;;) {
    TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) break;
    const std::uint64_t seq = query.Integer(0);
    if (seq != ++expected)
      return Damaged(path_, "fact " + std::to_string(expected) + " is missing");
    if (query.Integer(1) != Crc(query.Blob(2))) {
      return Damaged(path_, "fact " + std::to_string(seq) + " is not what was written");
    }
    auto fact = DecodeFact(query.Blob(2));
    if (!fact) return Damaged(path_, "fact " + std::to_string(seq) + ": " + fact.error().message);
    if (const std::string objection = core::Objection(ledger, *fact); !objection.empty()) {
      return Damaged(path_, "fact " + std::to_string(seq) + " does not follow: " + objection);
    }
    if (const JobId* job = JobOf(*fact)) recent_.push_back({*job, seq});
    if (const auto* archived = std::get_if<core::JobArchived>(&*fact)) {
      gone_.push_back(ledger.jobs.at(archived->job).sequence);
    }
    core::Apply(ledger, *fact);
  }
  if (expected != last_seq_) return Damaged(path_, "the end of the journal is missing");
  return {};
}

Result<std::vector<JournalEntry>> Store::Read(std::uint64_t after, std::size_t limit) {
  auto query = db_->Prepare("SELECT seq, fact FROM journal WHERE seq > ?1 ORDER BY seq LIMIT ?2");
  query.Bind(1, after).Bind(2, limit);
  std::vector<JournalEntry> entries;
  for (;;) {
    TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return entries;
    TUTTI_ASSIGN_OR_RETURN(core::Fact fact, DecodeFact(query.Blob(1)));
    entries.push_back({.seq = query.Integer(0), .fact = std::move(fact)});
  }
}

Result<std::vector<JournalEntry>> Store::ReadOf(JobId job, std::uint64_t after, std::size_t limit) {
  TUTTI_ASSIGN_OR_RETURN(const std::vector<std::uint64_t> seqs, SeqsOf(job, after, limit));
  std::vector<JournalEntry> entries;
  for (const std::uint64_t seq : seqs) {
    auto query = db_->Prepare("SELECT fact FROM journal WHERE seq = ?1");
    query.Bind(1, seq);
    TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return Damaged(path_, "fact " + std::to_string(seq) + " is missing");
    TUTTI_ASSIGN_OR_RETURN(core::Fact fact, DecodeFact(query.Blob(0)));
    entries.push_back({.seq = seq, .fact = std::move(fact)});
  }
  return entries;
}

// The first of a job's facts after `after`, at most `limit`.
Result<std::vector<std::uint64_t>> Store::SeqsOf(JobId job, std::uint64_t after,
                                                 std::size_t limit) {
  std::vector<std::uint64_t> seqs;
  auto query = db_->Prepare(
      "SELECT seq FROM journal_jobs WHERE job = ?1 AND seq > ?2 AND seq <= ?3 "
      "ORDER BY seq LIMIT ?4");
  query.Bind(1, job.value()).Bind(2, after).Bind(3, snapshot_seq_).Bind(4, limit);
  for (;;) {
    TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) break;
    seqs.push_back(query.Integer(0));
  }
  for (const JobFact& fact : recent_) {
    if (seqs.size() >= limit) break;
    if (fact.job == job && fact.seq > after) seqs.push_back(fact.seq);
  }
  return seqs;
}

Result<core::Job> Store::FindArchived(std::string_view text) {
  // A unique prefix of an id: all that start with it lie between it and it + '~' (after 'z').
  {
    auto query = db_->Prepare(
        "SELECT row FROM jobs_archive WHERE text_id >= ?1 AND text_id < ?1 || '~' LIMIT 2");
    query.BindText(1, text);
    TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (row && text.starts_with(JobTag::kPrefix)) {
      TUTTI_ASSIGN_OR_RETURN(StoredJob stored, DecodeJob(query.Blob(0)));
      TUTTI_ASSIGN_OR_RETURN(const bool second, query.Step());
      if (!second) return std::move(stored.job);
    }
  }
  auto query =
      db_->Prepare("SELECT row FROM jobs_archive WHERE name = ?1 ORDER BY sequence DESC LIMIT 1");
  query.BindText(1, text);
  TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
  if (!row) return Fail(ErrorCode::kNotFound, "no such job", std::string(text));
  TUTTI_ASSIGN_OR_RETURN(StoredJob stored, DecodeJob(query.Blob(0)));
  return std::move(stored.job);
}

Result<std::vector<core::Job>> Store::ListArchived(std::uint64_t before_sequence,
                                                   std::size_t limit) {
  auto query = db_->Prepare(
      "SELECT row FROM jobs_archive WHERE ?1 = 0 OR sequence < ?1 ORDER BY sequence DESC LIMIT ?2");
  query.Bind(1, before_sequence).Bind(2, limit);
  std::vector<core::Job> jobs;
  for (;;) {
    TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return jobs;
    TUTTI_ASSIGN_OR_RETURN(StoredJob stored, DecodeJob(query.Blob(0)));
    jobs.push_back(std::move(stored.job));
  }
}

Status Store::BeginCopy(const std::filesystem::path& to) {
  copy_.reset();
  TUTTI_ASSIGN_OR_RETURN(copy_, DatabaseCopy::Begin(db_->handle(), to));
  return {};
}

Result<bool> Store::CopyMore(int pages) {
  TUTTI_CHECK(copy_ != nullptr);
  auto done = copy_->Step(pages);
  if (!done || *done) copy_.reset();
  return done;
}

std::uint64_t Store::size_bytes() const {
  std::uint64_t total = 0;
  for (const char* suffix : {"", "-wal"}) {
    std::error_code error;
    const auto size = std::filesystem::file_size(path_.string() + suffix, error);
    if (!error) total += size;
  }
  return total;
}

// ---- writing ---------------------------------------------------------------------------------

Status Store::Append(std::span<const core::Fact> facts, std::span<const core::Job> archived) {
  if (facts.empty()) return {};
  TUTTI_CHECK(std::cmp_equal(archived.size(), std::ranges::count_if(facts, [](const auto& fact) {
                               return std::holds_alternative<core::JobArchived>(fact);
                             })));
  Database::Transaction transaction(*db_);
  TUTTI_RETURN_IF_ERROR(transaction.Begin());
  std::uint64_t seq = last_seq_;
  for (const core::Fact& fact : facts) {
    const std::string bytes = EncodeFact(fact);
    auto insert = db_->Prepare("INSERT INTO journal(seq, job, crc, fact) VALUES(?1, ?2, ?3, ?4)");
    insert.Bind(1, ++seq).Bind(3, Crc(bytes)).Bind(4, bytes);
    if (const JobId* job = JobOf(fact)) insert.Bind(2, job->value());
    TUTTI_RETURN_IF_ERROR(insert.Run());
  }
  for (const core::Job& job : archived) {
    auto insert = db_->Prepare(
        "INSERT OR REPLACE INTO jobs_archive(id, sequence, name, text_id, row) "
        "VALUES(?1, ?2, ?3, ?4, ?5)");
    insert.Bind(1, job.id.value()).Bind(2, job.sequence).BindText(3, job.request.name);
    insert.BindText(4, job.id.ToString()).Bind(5, EncodeJob(job));
    TUTTI_RETURN_IF_ERROR(insert.Run());
  }
  TUTTI_RETURN_IF_ERROR(transaction.Commit());
  for (const core::Fact& fact : facts) {
    ++last_seq_;
    if (const JobId* job = JobOf(fact)) recent_.push_back({*job, last_seq_});
  }
  for (const core::Job& job : archived) gone_.push_back(job.sequence);
  return {};
}

Status Store::MaybeSnapshot(const core::Ledger& ledger) {
  if (last_seq_ - snapshot_seq_ < options_.snapshot_every_facts) return {};
  return WriteSnapshot(ledger);
}

// The journal's index by job reaches its end. In order: each page is written once.
Status Store::IndexRecent() {
  std::vector<JobFact> facts = recent_;
  std::ranges::sort(facts, {}, [](const JobFact& fact) {
    return std::pair(static_cast<std::int64_t>(fact.job.value()), fact.seq);
  });
  for (const JobFact& fact : facts) {
    auto index = db_->Prepare("INSERT INTO journal_jobs(job, seq) VALUES(?1, ?2)");
    TUTTI_RETURN_IF_ERROR(index.Bind(1, fact.job.value()).Bind(2, fact.seq).Run());
  }
  return {};
}

// Those of the ledger since the snapshot, each once, by sequence.
std::vector<const core::Job*> Store::ChangedJobs(const core::Ledger& ledger) const {
  std::vector<const core::Job*> jobs;
  for (const JobFact& fact : recent_) {
    if (const core::Job* job = core::FindJob(ledger, fact.job)) jobs.push_back(job);
  }
  std::ranges::sort(jobs, {}, &core::Job::sequence);
  const auto again = std::ranges::unique(jobs);
  jobs.erase(again.begin(), again.end());
  return jobs;
}

Status Store::WriteSnapshot(const core::Ledger& ledger) {
  TUTTI_CHECK(ledger.facts_applied == last_seq_, ledger.facts_applied, " facts applied, ",
              last_seq_, " stored");
  std::map<JobId, std::uint64_t> finish_order;
  for (const auto& [order, id] : ledger.finished) finish_order[id] = order;
  Database::Transaction transaction(*db_);
  TUTTI_RETURN_IF_ERROR(transaction.Begin());
  // A snapshot that was left aside must not leave rows behind.
  if (snapshot_seq_ == 0) {
    TUTTI_RETURN_IF_ERROR(db_->Execute("DELETE FROM snapshot_jobs; DELETE FROM journal_jobs"));
  }
  TUTTI_RETURN_IF_ERROR(IndexRecent());
  for (const core::Job* job : ChangedJobs(ledger)) {
    const auto order = finish_order.find(job->id);
    const std::string row =
        EncodeJob(*job, order == finish_order.end() ? 0 : order->second, SpecOfJob::kInJournal);
    auto upsert =
        db_->Prepare("INSERT OR REPLACE INTO snapshot_jobs(sequence, crc, row) VALUES(?1, ?2, ?3)");
    TUTTI_RETURN_IF_ERROR(upsert.Bind(1, job->sequence).Bind(2, Crc(row)).Bind(3, row).Run());
  }
  for (const std::uint64_t sequence : gone_) {
    auto remove = db_->Prepare("DELETE FROM snapshot_jobs WHERE sequence = ?1");
    TUTTI_RETURN_IF_ERROR(remove.Bind(1, sequence).Run());
  }
  TUTTI_RETURN_IF_ERROR(db_->Execute("DELETE FROM snapshot_nodes"));
  for (const auto& [id, node] : ledger.nodes) {
    const std::string row = EncodeNode(node);
    auto insert = db_->Prepare("INSERT INTO snapshot_nodes(id, crc, row) VALUES(?1, ?2, ?3)");
    TUTTI_RETURN_IF_ERROR(insert.Bind(1, id.value()).Bind(2, Crc(row)).Bind(3, row).Run());
  }
  const std::string counters = EncodeCounters({.generation = ledger.generation,
                                               .last_sequence = ledger.last_sequence,
                                               .facts_applied = ledger.facts_applied,
                                               .last_finished = ledger.last_finished,
                                               .sharing = ledger.sharing,
                                               .learned = ledger.learned});
  auto head = db_->Prepare(
      "INSERT OR REPLACE INTO snapshot(id, seq, jobs, nodes, crc, counters) "
      "VALUES(1, ?1, ?2, ?3, ?4, ?5)");
  head.Bind(1, last_seq_).Bind(2, ledger.jobs.size()).Bind(3, ledger.nodes.size());
  TUTTI_RETURN_IF_ERROR(head.Bind(4, Crc(counters)).Bind(5, counters).Run());
  TUTTI_RETURN_IF_ERROR(transaction.Commit());
  snapshot_seq_ = last_seq_;
  recent_.clear();
  gone_.clear();
  return {};
}

Status Store::Probe() {
  Database::Transaction transaction(*db_);
  TUTTI_RETURN_IF_ERROR(transaction.Begin());
  // Large enough that a nearly full disk says no now rather than at the next submit.
  auto fill = db_->Prepare("CREATE TABLE IF NOT EXISTS probe(data BLOB)");
  TUTTI_RETURN_IF_ERROR(fill.Run());
  auto insert = db_->Prepare("INSERT INTO probe(data) VALUES(randomblob(1048576))");
  TUTTI_RETURN_IF_ERROR(insert.Run());
  auto empty = db_->Prepare("DELETE FROM probe");
  TUTTI_RETURN_IF_ERROR(empty.Run());
  return transaction.Commit();
}

}  // namespace tutti::store
