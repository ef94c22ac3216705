#include "scheduler/coordinator/enrollments.h"

#include <gtest/gtest.h>

#include "common/curve/keys.h"
#include "common/file/file.h"

namespace tutti::coordinator {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class EnrollmentsTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tutti-enrollments-XXXXXX";
    folder_ = mkdtemp(name);
    enrollments_.emplace(folder_);
  }
  void TearDown() override { ASSERT_TRUE(RemoveTree(folder_)); }

  std::string Secret(Duration lifetime = 24h, const std::string& name = "") {
    return enrollments_->Make(lifetime, name, now_).value().secret;
  }
  ErrorCode CodeOf(const JoinClaim& claim) {
    const Status status = enrollments_->Enroll(claim, now_);
    EXPECT_FALSE(status);
    if (status) return ErrorCode::kInternal;
    EXPECT_EQ(status.error().ToString().find(claim.secret), std::string::npos);
    EXPECT_FALSE(status.error().hint.empty()) << status.error().ToString();
    return status.error().code;
  }
  std::string Allowed(const std::string& name) {
    return curve::LoadKey(folder_ / "allowed" / (name + ".pub")).value_or("none");
  }
  static std::string Key() { return curve::MakeKeyPair()->public_key; }

  fs::path folder_;
  std::optional<Enrollments> enrollments_;
  WallTime now_{1'000'000};
};

TEST_F(EnrollmentsTest, ASecretLetsOneWorkerIn) {
  const JoinClaim claim{Secret(), "node-1", Key()};
  ASSERT_TRUE(enrollments_->Enroll(claim, now_));
  EXPECT_EQ(Allowed("node-1"), claim.public_key);
  EXPECT_TRUE(enrollments_->Enroll(claim, now_));  // its answer was lost
  EXPECT_EQ(CodeOf({claim.secret, "node-2", Key()}), ErrorCode::kAuth);
  EXPECT_EQ(CodeOf({claim.secret, "node-1", Key()}), ErrorCode::kAuth);
  EXPECT_EQ(Allowed("node-1"), claim.public_key);
  EXPECT_EQ(Allowed("node-2"), "none");
}

TEST_F(EnrollmentsTest, NothingOnDiskGivesTheSecretAway) {
  const std::string secret = Secret();
  for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
    EXPECT_EQ(entry.path().string().find(secret), std::string::npos);
    if (!entry.is_regular_file()) continue;
    EXPECT_EQ(ReadFile(entry.path())->find(secret), std::string::npos);
    EXPECT_EQ(fs::status(entry.path()).permissions(),
              fs::perms::owner_read | fs::perms::owner_write);
  }
}

TEST_F(EnrollmentsTest, WrongAndExpiredSecretsAreRefused) {
  EXPECT_EQ(CodeOf({"not-a-secret-of-ours", "node-1", Key()}), ErrorCode::kAuth);
  EXPECT_EQ(CodeOf({"../allowed/x", "node-1", Key()}), ErrorCode::kAuth);
  const std::string secret = Secret(1h);
  now_.unix_ms += 3'600'000;
  EXPECT_EQ(CodeOf({secret, "node-1", Key()}), ErrorCode::kAuth);
  EXPECT_EQ(Allowed("node-1"), "none");
}

TEST_F(EnrollmentsTest, ANameThatAnotherKeyHasIsRefusedAndTheSecretStaysGood) {
  const JoinClaim first{Secret(), "node-1", Key()};
  ASSERT_TRUE(enrollments_->Enroll(first, now_));
  const std::string secret = Secret();
  EXPECT_EQ(CodeOf({secret, "node-1", Key()}), ErrorCode::kConflict);
  EXPECT_EQ(Allowed("node-1"), first.public_key);
  EXPECT_TRUE(enrollments_->Enroll({secret, "node-2", Key()}, now_));
}

TEST_F(EnrollmentsTest, ASecretForANameIsForThatNameAlone) {
  const std::string secret = Secret(1h, "node-1");
  EXPECT_EQ(CodeOf({secret, "node-2", Key()}), ErrorCode::kAuth);
  EXPECT_TRUE(enrollments_->Enroll({secret, "node-1", Key()}, now_));
  EXPECT_FALSE(enrollments_->Make(1h, "../evil", now_));
}

TEST_F(EnrollmentsTest, ARemovedWorkerMayComeAgainWithANewSecret) {
  const JoinClaim claim{Secret(), "node-1", Key()};
  ASSERT_TRUE(enrollments_->Enroll(claim, now_));
  ASSERT_TRUE(enrollments_->Remove("node-1"));
  EXPECT_EQ(Allowed("node-1"), "none");
  EXPECT_EQ(CodeOf(claim), ErrorCode::kAuth);  // not with the string it had
  EXPECT_EQ(enrollments_->Remove("node-1").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(enrollments_->Remove("../joins").error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(enrollments_->Enroll({Secret(), "node-1", Key()}, now_));
}

TEST_F(EnrollmentsTest, NamesAndKeysThatAreNoneAreRefused) {
  const std::string secret = Secret();
  for (const char* name : {"", "../x", "a/b", ".hidden", "enroll", "a b"}) {
    EXPECT_EQ(enrollments_->Enroll({secret, name, Key()}, now_).error().code, ErrorCode::kInvalid);
  }
  EXPECT_EQ(enrollments_->Enroll({secret, "node-1", "short"}, now_).error().code,
            ErrorCode::kInvalid);
}

TEST_F(EnrollmentsTest, LongExpiredSecretsAreSwept) {
  Secret(1h);
  now_.unix_ms += std::int64_t{10} * 24 * 3'600'000;
  Secret(1h);
  const auto files = fs::directory_iterator(folder_ / "joins");
  EXPECT_EQ(std::distance(begin(files), end(files)), 1);
}

}  // namespace
}  // namespace tutti::coordinator
