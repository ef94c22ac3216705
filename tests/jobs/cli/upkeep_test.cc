// Backups and blobs as the command line asks for them.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "common/file/file.h"
#include "with_server.h"

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

class Upkeep : public WithServer {
 protected:
  Upkeep() {
    // As the cluster of this machine: an archive is made beside the coordinator alone.
    std::ofstream(dir_ / "token") << "secret\n";
    ::chmod((dir_ / "token").c_str(), 0600);
    std::ofstream(dir_ / "endpoint.json") << json{{"url", server_.url()},
                                                  {"token_file", (dir_ / "token").string()},
                                                  {"pid", ::getpid()},
                                                  {"coordinator_pid", ::getpid()},
                                                  {"version", "0"}};
    routes_["POST /api/v1/backup"] = [this](const Seen& seen) {
      const std::string path = json::parse(seen.body).at("path");
      asked_ = path;
      fs::create_directories(fs::path(path) / "coordinator");
      std::ofstream(fs::path(path) / "coordinator/state.db") << "state";
      return FakeServer::Json(
          json{
              {"path", path}, {"jobs", 3}, {"files", 1200}, {"bytes", 2048}, {"bytes_linked", 1024}}
              .dump(),
          201);
    };
  }
  Ran Here(std::vector<std::string> args) {
    args.insert(args.begin(), {"--data-dir", dir_.string()});
    return RunTutti(args);
  }
  std::size_t Entries() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(dir_), fs::directory_iterator()));
  }

  std::string asked_;
};

TEST_F(Upkeep, AFolderIsNamedFromTheRootAndSaysWhatItHas) {
  const Ran ran = Run({"backup", (dir_ / "x/../copy/").string()});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(asked_, (dir_ / "copy").string());
  EXPECT_EQ(ran.out, (dir_ / "copy").string() + "\n");
  EXPECT_THAT(ran.err, HasSubstr("3 jobs, 2.0 KiB in 1,200 files; 1.0 KiB are shared"));
  EXPECT_THAT(ran.err, HasSubstr("keys"));
  EXPECT_EQ(Run({"backup", (dir_ / "again").string(), "--json"}).Json().at("files"), 1200);
}

TEST_F(Upkeep, AnArchiveHasTheFilesIsPrivateAndLeavesNoFolder) {
  const std::size_t before = Entries();
  const fs::path file = dir_ / "night.tar.gz";
  const Ran ran = Here({"backup", file.string()});
  ASSERT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, file.string() + "\n");
  EXPECT_EQ(Entries(), before + 1) << "the archive alone";
  struct stat info {};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  const fs::path out = dir_ / "out";
  fs::create_directory(out);
  ASSERT_EQ(std::system(("tar -C " + out.string() + " -xzf " + file.string()).c_str()), 0);
  EXPECT_EQ(ReadFile(out / "coordinator/state.db").value_or(""), "state");

  const Ran again = Here({"backup", file.string()});
  EXPECT_EQ(again.exit, 2);
  EXPECT_THAT(again.err, HasSubstr("there already"));
}

TEST_F(Upkeep, AnArchiveIsNotMadeOfACoordinatorElsewhere) {
  const Ran ran = Run({"backup", (dir_ / "night.tar").string()});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_THAT(ran.err, HasSubstr("coordinator's machine"));
  EXPECT_EQ(asked_, "");
}

TEST_F(Upkeep, WhatTheCoordinatorRefusesIsSaid) {
  routes_["POST /api/v1/backup"] = [](const Seen&) {
    return FakeServer::Json(R"({"error": {"code": "conflict", "message": "it is there already",
      "where": "/b", "hint": "name a folder"}})",
                            409);
  };
  const Ran ran = Run({"backup", "/b"});
  EXPECT_NE(ran.exit, 0);
  EXPECT_THAT(ran.err, HasSubstr("/b: error: it is there already"));
  EXPECT_EQ(Run({"backup"}).exit, 2);
}

TEST_F(Upkeep, BlobGcSaysWhatWentOrWould) {
  json asked;
  std::uint64_t count = 2;
  routes_["POST /api/v1/blobs/gc"] = [&](const Seen& seen) {
    asked = json::parse(seen.body);
    return FakeServer::Json(
        json{{"removed", count}, {"freed_bytes", count * 2048}, {"dry_run", asked["dry_run"]}}
            .dump());
  };
  EXPECT_EQ(Run({"blob", "gc"}).out, "freed 4.0 KiB: 2 blobs\n");
  EXPECT_EQ(asked, (json{{"dry_run", false}}));
  EXPECT_EQ(Run({"blob", "gc", "--dry-run", "--grace", "1h"}).out, "would free 4.0 KiB: 2 blobs\n");
  EXPECT_EQ(asked, (json{{"dry_run", true}, {"grace_ms", 3'600'000}}));
  EXPECT_EQ(Run({"blob", "gc", "--json"}).Json().at("removed"), 2);
  count = 0;
  const Ran none = Run({"blob", "gc"});
  EXPECT_EQ(none.out, "");
  EXPECT_THAT(none.err, HasSubstr("nothing to remove"));
  EXPECT_EQ(Run({"blob", "gc", "--grace", "soon"}).exit, 2);
}

}  // namespace
}  // namespace tutti::cli
