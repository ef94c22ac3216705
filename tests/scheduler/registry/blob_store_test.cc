#include "scheduler/registry/blob_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

namespace tutti::registry {
namespace {

class BlobStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("blob_store_test-" + std::to_string(::getpid()));
    ASSERT_TRUE(MakeDirectories(folder_));
  }
  void TearDown() override { ASSERT_TRUE(RemoveTree(folder_)); }

  BlobStore Open() { return BlobStore::Open(folder_).value(); }

  static std::size_t Entries(const fs::path& folder) {
    std::size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (!entry.is_directory()) ++count;
    }
    return count;
  }
  std::size_t Uploads() const { return Entries(folder_ / "uploads"); }

  std::string ReadBlob(const BlobStore& store, const Digest& digest) {
    return ReadFile(store.PathOf(digest)).value();
  }

  fs::path folder_;
};

TEST_F(BlobStoreTest, PutStoresUnderTheDigestReadOnly) {
  const BlobStore store = Open();
  const Digest digest = Sha256Of("hello");
  EXPECT_FALSE(store.Has(digest));
  EXPECT_EQ(store.Size(digest).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store.OpenBlob(digest).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(store.Put("hello", digest).value());
  EXPECT_FALSE(store.Put("hello", digest).value());
  EXPECT_TRUE(store.Has(digest));
  EXPECT_EQ(store.Size(digest).value(), Bytes{5});
  EXPECT_EQ(store.PathOf(digest), folder_ / "blobs" / digest.ToHex().substr(0, 2) / digest.ToHex());
  EXPECT_EQ(ReadBlob(store, digest), "hello");
  struct stat stat {};
  ASSERT_EQ(::fstat(store.OpenBlob(digest).value().get(), &stat), 0);
  EXPECT_EQ(stat.st_mode & 0777, 0444u);
  EXPECT_EQ(Uploads(), 0u);
}

TEST_F(BlobStoreTest, ContentOfAnotherDigestIsRefusedAndLeavesNothing) {
  const BlobStore store = Open();
  const Digest digest = Sha256Of("hello");
  EXPECT_EQ(store.Put("hellO", digest).error().code, ErrorCode::kInvalid);
  const fs::path upload = TemporaryName(store.uploads_dir());
  ASSERT_TRUE(WriteFileAtomically(upload, "hellO"));
  EXPECT_EQ(store.Adopt(upload, Sha256Of("hellO"), digest).error().code, ErrorCode::kInvalid);
  const fs::path source = folder_ / "source";
  ASSERT_TRUE(WriteFileAtomically(source, "hellO"));
  const Error error = store.Link(source, digest).error();
  EXPECT_EQ(error.code, ErrorCode::kInvalid);
  EXPECT_EQ(error.ToString().find(Sha256Of("hellO").ToHex()), std::string::npos)
      << "the digest of a file that the caller may not read is no one's business";
  EXPECT_FALSE(store.Has(digest));
  EXPECT_EQ(Uploads(), 0u);
  EXPECT_EQ(Entries(folder_ / "blobs"), 0u);
}

TEST_F(BlobStoreTest, AdoptMovesTheUpload) {
  const BlobStore store = Open();
  const Digest digest = Sha256Of("hello");
  for (const bool is_new : {true, false}) {
    const fs::path upload = TemporaryName(store.uploads_dir());
    ASSERT_TRUE(WriteFileAtomically(upload, "hello"));
    EXPECT_EQ(store.Adopt(upload, digest, digest).value(), is_new);
  }
  EXPECT_EQ(ReadBlob(store, digest), "hello");
  EXPECT_EQ(Uploads(), 0u);
}

TEST_F(BlobStoreTest, LinkCopiesSoThatTheOwnerMayGoOnWriting) {
  const BlobStore store = Open();
  const fs::path source = folder_ / "source";
  const std::string content(std::size_t{3} << 20, 'x');
  ASSERT_TRUE(WriteFileAtomically(source, content));
  const Digest digest = Sha256Of(content);
  EXPECT_TRUE(store.Link(source, digest).value());
  EXPECT_FALSE(store.Link(source, digest).value());
  UniqueFd fd(::open(source.c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(::pwrite(fd.get(), "changed", 7, 0), 7);
  EXPECT_EQ(Sha256OfFile(store.PathOf(digest)).value(), digest);
  EXPECT_EQ(Uploads(), 0u);
}

TEST_F(BlobStoreTest, LinkTakesRegularFilesByAbsolutePathAlone) {
  const BlobStore store = Open();
  const fs::path source = folder_ / "source";
  ASSERT_TRUE(WriteFileAtomically(source, "hello"));
  const Digest digest = Sha256Of("hello");
  ASSERT_EQ(::symlink(source.c_str(), (folder_ / "symlink").c_str()), 0);
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(store.Link(folder_ / "symlink", digest).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(store.Link(folder_ / "pipe", digest).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(store.Link(folder_, digest).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(store.Link("source", digest).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(store.Link("", digest).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(store.Link(folder_ / "none", digest).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(store.Has(digest));
}

TEST_F(BlobStoreTest, OpenEmptiesUploadsAndKeepsBlobs) {
  const Digest digest = Sha256Of("hello");
  {
    const BlobStore store = Open();
    ASSERT_TRUE(store.Put("hello", digest));
    ASSERT_TRUE(WriteFileAtomically(store.uploads_dir() / "half", "hel"));
    ASSERT_TRUE(MakeDirectories(store.uploads_dir() / "folder" / "inside"));
  }
  const BlobStore again = Open();
  EXPECT_TRUE(again.Has(digest));
  EXPECT_TRUE(fs::is_empty(again.uploads_dir()));
}

// As if it was stored, and touched, that long ago by an earlier process.
void Age(const BlobStore& store, const Digest& digest, std::chrono::hours age) {
  fs::last_write_time(store.PathOf(digest), fs::file_time_type::clock::now() - age);
}

TEST_F(BlobStoreTest, RemovesWhatNobodyTouchedForTheGraceTime) {
  constexpr std::chrono::hours kGrace(24);
  const Digest old = Sha256Of("old");
  const Digest lately = Sha256Of("lately");
  {
    const BlobStore store = Open();
    ASSERT_TRUE(store.Put("old", old));
    ASSERT_TRUE(store.Put("lately", lately));
    Age(store, old, std::chrono::hours(25));
    EXPECT_TRUE(store.Untouched(kGrace)->empty()) << "this process stored it just now";
  }
  const BlobStore store = Open();
  Age(store, old, std::chrono::hours(25));
  Age(store, lately, std::chrono::hours(23));
  EXPECT_EQ(*store.Untouched(kGrace), std::set<Digest>{old});
  EXPECT_EQ(*store.RemoveUntouched(lately, kGrace), std::nullopt);
  EXPECT_EQ(*store.RemoveUntouched(old, kGrace), Bytes{3});
  EXPECT_FALSE(store.Has(old));
  EXPECT_TRUE(store.Has(lately));
  EXPECT_EQ(*store.RemoveUntouched(old, kGrace), std::nullopt) << "it is gone already";
}

TEST_F(BlobStoreTest, TouchedBetweenTheLookAndTheRemovalStays) {
  constexpr std::chrono::hours kGrace(24);
  const Digest digest = Sha256Of("hello");
  ASSERT_TRUE(Open().Put("hello", digest));
  const BlobStore store = Open();
  Age(store, digest, std::chrono::hours(25));
  ASSERT_EQ(store.Untouched(kGrace)->size(), 1U);
  EXPECT_EQ(store.Touch(digest), Bytes{5});
  EXPECT_EQ(*store.RemoveUntouched(digest, kGrace), std::nullopt);
  EXPECT_TRUE(store.Has(digest));
  EXPECT_TRUE(Open().Untouched(kGrace)->empty()) << "the file's time says so to others";
  // Storing what is there is a touch too.
  const BlobStore again = Open();
  Age(again, digest, std::chrono::hours(25));
  EXPECT_FALSE(again.Put("hello", digest).value());
  EXPECT_TRUE(again.Untouched(kGrace)->empty());
  EXPECT_EQ(again.Touch(Sha256Of("none")).error().code, ErrorCode::kNotFound);
}

TEST_F(BlobStoreTest, ManyMayStoreTheSameBlobAtOnce) {
  const BlobStore store = Open();
  const std::string content(std::size_t{1} << 18, 'y');
  const Digest digest = Sha256Of(content);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 5; ++k) EXPECT_TRUE(store.Put(content, digest).has_value());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Sha256OfFile(store.PathOf(digest)).value(), digest);
  EXPECT_EQ(Entries(folder_ / "blobs"), 1u);
  EXPECT_EQ(Uploads(), 0u);
}

// Runs `body` in a child process, whose exit status is its answer.
template <typename Body>
int InChild(const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

constexpr int kNotAllowed = 77;

// 0 when `store` refused a blob of 8 MiB with `code`, left nothing behind, and takes small ones.
int RefusesBig(const BlobStore& store, const fs::path& folder, ErrorCode code) {
  const std::string big(std::size_t{8} << 20, 'z');
  const Digest digest = Sha256Of(big);
  const auto put = store.Put(big, digest);
  if (put || put.error().code != code) return 1;
  if (store.Has(digest) || !fs::is_empty(folder / "uploads")) return 2;
  const auto small = store.Put("small", Sha256Of("small"));
  return small && store.Has(Sha256Of("small")) ? 0 : 3;
}

TEST_F(BlobStoreTest, AFullDiskIsSaidAndLeavesNothing) {
  const int answer = InChild([&] {
    // A file system of 2 MiB that only this child sees.
    if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
      return kNotAllowed;
    }
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=2m") != 0) {
      return kNotAllowed;
    }
    const auto store = BlobStore::Open(folder_);
    return store ? RefusesBig(*store, folder_, ErrorCode::kDiskFull) : 4;
  });
  if (answer == kNotAllowed) GTEST_SKIP() << "NOT CHECKED: mounting a small tmpfs is not allowed";
  EXPECT_EQ(answer, 0);
}

TEST_F(BlobStoreTest, AFailedWriteLeavesNothing) {
  const BlobStore store = Open();
  const int answer = InChild([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return kNotAllowed;
    return RefusesBig(store, folder_, ErrorCode::kIo);
  });
  EXPECT_EQ(answer, 0);
}

}  // namespace
}  // namespace tutti::registry
