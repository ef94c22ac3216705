#include "scheduler/store/store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "tests/scheduler/store/facts_example.h"

namespace tutti::store {
namespace {

namespace fs = std::filesystem;

class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("store_test-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    path_ = folder_ / "state.db";
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::unique_ptr<Store> Open(StoreOptions options = {}) {
    auto store = Store::Open(path_, options);
    EXPECT_TRUE(store) << store.error().ToString();
    return store ? std::move(*store) : nullptr;
  }

  // Changes the closed database behind the store's back.
  void Sql(const char* sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    char* message = nullptr;
    EXPECT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, &message), SQLITE_OK) << message;
    sqlite3_free(message);
    sqlite3_close(db);
  }

  // A new database of that story, with a snapshot after so many of its facts.
  std::unique_ptr<Store> Write(const std::vector<core::Fact>& story, std::size_t snapshot_after) {
    fs::remove(path_);
    auto store = Open({.snapshot_every_facts = 1});
    const auto before = std::span(story).first(snapshot_after);
    EXPECT_TRUE(store->Append(before));
    EXPECT_TRUE(store->MaybeSnapshot(Applied({before.begin(), before.end()})));
    EXPECT_TRUE(store->Append(std::span(story).subspan(snapshot_after)));
    return store;
  }

  // From now on the snapshot alone knows how it began.
  void ForgetTheBeginning() { Sql("UPDATE journal SET fact = x'00' WHERE seq = 1"); }

  static core::Ledger Applied(const std::vector<core::Fact>& facts) {
    core::Ledger ledger;
    for (const core::Fact& fact : facts) core::Apply(ledger, fact);
    return ledger;
  }

  fs::path folder_;
  fs::path path_;
};

TEST_F(StoreTest, TokensAreKeptByDigestUntilTheyAreRemoved) {
  const StoredToken one{.id = "t-1",
                        .sha256 = Sha256Of("one"),
                        .scope = "viewer",
                        .name = "ci",
                        .user = "ana",
                        .created = {1'000}};
  const StoredToken two{.id = "t-2",
                        .sha256 = Sha256Of("two"),
                        .scope = "admin",
                        .name = "",
                        .user = "bo",
                        .created = {2'000},
                        .expires = WallTime{9'000}};
  {
    auto store = Open();
    ASSERT_TRUE(store->PutToken(two));
    ASSERT_TRUE(store->PutToken(one));
    EXPECT_FALSE(store->PutToken(one)) << "one id twice";
    const std::vector<std::pair<std::string, WallTime>> uses = {{"t-1", {5'000}}, {"t-9", {1}}};
    ASSERT_TRUE(store->TokensUsed(uses));
  }
  auto store = Open();
  const auto tokens = store->Tokens();
  ASSERT_TRUE(tokens);
  ASSERT_EQ(tokens->size(), 2u);
  EXPECT_EQ(tokens->at(0).id, "t-1");
  EXPECT_EQ(tokens->at(0).sha256, one.sha256);
  EXPECT_EQ(tokens->at(0).last_used, WallTime{5'000});
  EXPECT_EQ(tokens->at(0).expires, std::nullopt);
  EXPECT_EQ(tokens->at(1).scope, "admin");
  EXPECT_EQ(tokens->at(1).expires, WallTime{9'000});
  EXPECT_EQ(tokens->at(1).last_used, std::nullopt);
  ASSERT_TRUE(store->RemoveToken("t-1"));
  EXPECT_EQ(store->Tokens()->size(), 1u);
}

// A database of version 1 is one without tokens, whose journal has an index of its own by job.
TEST_F(StoreTest, AnOlderSchemaIsMigratedAndLosesNothing) {
  const auto story = ExampleStory();
  for (const std::size_t snapshot_after : {std::size_t{0}, story.size() / 2}) {
    Write(story, snapshot_after);
    Sql("DROP TABLE tokens; DROP TABLE webhooks; DROP TABLE webhook_deliveries; "
        "DROP TABLE webhook_seq; DROP TABLE journal_jobs; "
        "ALTER TABLE snapshot_jobs RENAME COLUMN sequence TO id; UPDATE snapshot_jobs SET id = "
        "-id; "
        "CREATE INDEX journal_job ON journal(job, seq) WHERE job IS NOT NULL; "
        "PRAGMA user_version=1");
    if (snapshot_after > 0) ForgetTheBeginning();
    auto store = Open();
    ASSERT_TRUE(store);
    EXPECT_TRUE(store->Tokens());
    EXPECT_EQ(store->Recover().value(), Applied(story));
    EXPECT_EQ(store->ReadOf(JobId(2), 0, 100).value().size(), 6u);
  }
}

TEST_F(StoreTest, RecoversWhatWasAppended) {
  const auto story = ExampleStory();
  {
    auto store = Open();
    ASSERT_TRUE(store->Append(std::span(story).first(5)));
    ASSERT_TRUE(store->Append(std::span(story).subspan(5)));
  }
  auto store = Open();
  EXPECT_EQ(store->Recover().value(), Applied(story));
  EXPECT_EQ(store->last_seq(), story.size());
}

TEST_F(StoreTest, SnapshotPlusJournalEqualsReplay) {
  const auto story = ExampleStory();
  for (std::size_t cut = 1; cut <= story.size(); ++cut) {
    fs::remove(path_);
    {
      auto store = Open({.snapshot_every_facts = 1});
      core::Ledger ledger;
      for (std::size_t i = 0; i < story.size(); ++i) {
        ASSERT_TRUE(store->Append(std::span(story).subspan(i, 1)));
        core::Apply(ledger, story[i]);
        if (i < cut) {
          ASSERT_TRUE(store->MaybeSnapshot(ledger));
        }
      }
    }
    ForgetTheBeginning();
    auto store = Open();
    EXPECT_EQ(store->Recover().value(), Applied(story)) << "snapshots up to fact " << cut;
  }
}

// Its jobs' specs are in the journal alone.
TEST_F(StoreTest, ASnapshotNeedsTheFactsThatSubmittedItsJobs) {
  const auto story = ExampleStory();
  const core::Ledger ledger = Applied(story);
  std::uint64_t seq = 0;
  {
    auto store = Open({.snapshot_every_facts = 1});
    ASSERT_TRUE(store->Append(std::span(story)));
    ASSERT_TRUE(store->MaybeSnapshot(ledger));
    const auto submitted = std::ranges::find_if(story, [&](const core::Fact& fact) {
      const auto* f = std::get_if<core::JobSubmitted>(&fact);
      return f != nullptr && core::FindJob(ledger, f->job) != nullptr;
    });
    ASSERT_NE(submitted, story.end());
    seq = static_cast<std::uint64_t>(submitted - story.begin()) + 1;
  }
  EXPECT_EQ(Open()->Recover().value(), ledger);
  Sql(("UPDATE journal SET fact = x'00' WHERE seq = " + std::to_string(seq)).c_str());
  const auto recovered = Open()->Recover();
  ASSERT_FALSE(recovered);
  EXPECT_NE(recovered.error().message.find("fact " + std::to_string(seq)), std::string::npos)
      << recovered.error().message;
}

TEST_F(StoreTest, DamagedSnapshotFallsBackToTheJournal) {
  const auto story = ExampleStory();
  {
    auto store = Open({.snapshot_every_facts = 1});
    ASSERT_TRUE(store->Append(story));
    ASSERT_TRUE(store->MaybeSnapshot(Applied(story)));
  }
  Sql("UPDATE snapshot_jobs SET row = x'00'");
  EXPECT_EQ(Open()->Recover().value(), Applied(story));
  // All of the damaged one has been replaced.
  ForgetTheBeginning();
  EXPECT_EQ(Open()->Recover().value(), Applied(story));
}

TEST_F(StoreTest, ASnapshotHasNoJobThatWasArchivedSinceTheOneBefore) {
  auto story = ExampleStory();
  const core::Ledger before = Applied(story);
  const core::Job job = before.jobs.at(JobId(1));
  const core::Fact archived = core::JobArchived{.job = JobId(1), .at = WallTime{1}};
  for (const bool restarts : {false, true}) {
    fs::remove(path_);
    auto store = Open({.snapshot_every_facts = 1});
    ASSERT_TRUE(store->Append(story));
    ASSERT_TRUE(store->MaybeSnapshot(before));
    ASSERT_TRUE(store->Append(std::span(&archived, 1), std::span(&job, 1)));
    core::Ledger after = before;
    core::Apply(after, archived);
    if (restarts) {
      store.reset();
      store = Open({.snapshot_every_facts = 1});
      EXPECT_EQ(store->Recover().value(), after);
    }
    ASSERT_TRUE(store->MaybeSnapshot(after));
    store.reset();
    ForgetTheBeginning();
    EXPECT_EQ(Open()->Recover().value(), after);
  }
}

TEST_F(StoreTest, DamagedJournalIsRefusedNeverGuessed) {
  const auto story = ExampleStory();
  const struct {
    const char* sql;
    const char* message;
  } kDamage[] = {
      {"DELETE FROM journal WHERE seq = 4", "fact 4 is missing"},
      {"UPDATE journal SET fact = x'0801' WHERE seq = 3", "fact 3 is not what was written"}};
  for (const auto& damage : kDamage) {
    fs::remove(path_);
    ASSERT_TRUE(Open()->Append(story));
    Sql(damage.sql);
    const auto ledger = Open()->Recover();
    ASSERT_FALSE(ledger);
    EXPECT_NE(ledger.error().message.find(damage.message), std::string::npos)
        << ledger.error().message;
  }
}

TEST_F(StoreTest, ASecondCoordinatorIsRefused) {
  auto store = Open();
  const auto second = Store::Open(path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
  store.reset();
  EXPECT_TRUE(Store::Open(path_));
}

TEST_F(StoreTest, ANewerSchemaIsRefusedByNumber) {
  ASSERT_TRUE(Open());
  Sql("PRAGMA user_version = 1000");
  const auto store = Store::Open(path_);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(store.error().message.find("1000"), std::string::npos);
}

TEST_F(StoreTest, AFileThatIsNoDatabaseIsRefused) {
  std::FILE* file = std::fopen(path_.c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fputs(std::string(8192, 'x').c_str(), file);
  std::fclose(file);
  const auto store = Store::Open(path_);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, ErrorCode::kIo);
}

// Wherever the snapshot is, before and after the coordinator starts anew.
TEST_F(StoreTest, ReadsFactsOfOneJobInPages) {
  const auto story = ExampleStory();
  const auto in_pages = [&](Store& store) {
    std::size_t read = 0;
    std::uint64_t after = 0;
    for (;;) {
      const auto page = store.ReadOf(JobId(2), after, 2).value();
      if (page.empty()) return read;
      for (const JournalEntry& entry : page) {
        EXPECT_GT(entry.seq, after);
        EXPECT_EQ(entry.fact, story[entry.seq - 1]);
        after = entry.seq;
        ++read;
      }
    }
  };
  for (std::size_t cut = 0; cut <= story.size(); ++cut) {
    auto store = Write(story, cut);
    EXPECT_EQ(in_pages(*store), 6u) << cut;
    store.reset();
    store = Open();
    ASSERT_TRUE(store->Recover());
    EXPECT_EQ(in_pages(*store), 6u) << cut;
  }
}

TEST_F(StoreTest, ArchivedJobsAreFound) {
  auto store = Open();
  auto story = ExampleStory();
  core::Ledger ledger = Applied(story);
  const core::Job job = ledger.jobs.at(JobId(1));
  story.push_back(core::JobArchived{.job = JobId(1), .at = WallTime{1}});
  ASSERT_TRUE(store->Append(story, std::span(&job, 1)));
  EXPECT_EQ(store->FindArchived("first").value(), job);
  EXPECT_EQ(store->FindArchived(job.id.ToString()).value(), job);
  EXPECT_EQ(store->FindArchived("j-0000").value(), job);
  EXPECT_EQ(store->FindArchived("second").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store->ListArchived(0, 10).value().size(), 1u);
  EXPECT_EQ(store->ListArchived(job.sequence, 10).value().size(), 0u);
}

TEST_F(StoreTest, AcknowledgedFactsOutliveSigkill) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto store = Store::Open(path_).value();
    for (std::uint64_t generation = 1;; ++generation) {
      const std::vector<core::Fact> facts = {
          core::CoordinatorStarted{.generation = generation, .at = {}}};
      if (!store->Append(facts)) ::_exit(1);
      if (::write(ends[1], &generation, sizeof generation) < 0) ::_exit(1);
    }
  }
  std::uint64_t acknowledged = 0;
  while (acknowledged < 20) ASSERT_GT(::read(ends[0], &acknowledged, sizeof acknowledged), 0);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ends[1]);
  for (std::uint64_t more = 0; ::read(ends[0], &more, sizeof more) > 0;) acknowledged = more;
  ::close(ends[0]);
  EXPECT_GE(Open()->Recover().value().generation, acknowledged);
}

TEST_F(StoreTest, ProbeChangesNothing) {
  auto store = Open();
  ASSERT_TRUE(store->Append(ExampleStory()));
  EXPECT_TRUE(store->Probe());
  EXPECT_EQ(store->Recover().value(), Applied(ExampleStory()));
}

}  // namespace
}  // namespace tutti::store
