#include "scheduler/store/copy.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "scheduler/store/store.h"

namespace tutti::store {
namespace {

namespace fs = std::filesystem;

class CopyTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("copy_test-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    store_ = Store::Open(folder_ / "state.db").value();
  }
  void TearDown() override {
    store_.reset();
    fs::remove_all(folder_);
  }
  StoredToken Token(int number) {
    const std::string text = std::to_string(number);
    return {
        .id = "t-" + text, .sha256 = Sha256Of(text), .scope = "viewer", .name = text, .user = "u"};
  }

  fs::path folder_;
  std::unique_ptr<Store> store_;
};

TEST_F(CopyTest, WhatIsStoredBetweenThePiecesIsInTheCopy) {
  constexpr int kBefore = 200;
  for (int i = 0; i < kBefore; ++i) ASSERT_TRUE(store_->PutToken(Token(i)));
  ASSERT_TRUE(store_->BeginCopy(folder_ / "copy.db"));
  int pieces = 0;
  for (;; ++pieces) {
    const auto done = store_->CopyMore(1);
    ASSERT_TRUE(done) << done.error().ToString();
    if (*done) break;
    ASSERT_TRUE(store_->PutToken(Token(kBefore + pieces)));
  }
  EXPECT_GT(pieces, 5);
  const auto copy = Store::Open(folder_ / "copy.db");
  ASSERT_TRUE(copy) << copy.error().ToString();
  EXPECT_EQ((*copy)->Tokens()->size(), static_cast<std::size_t>(kBefore + pieces));
}

TEST_F(CopyTest, ACopyThatWasGivenUpIsForgottenByTheNext) {
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(store_->PutToken(Token(i)));
  ASSERT_TRUE(store_->BeginCopy(folder_ / "first.db"));
  ASSERT_EQ(store_->CopyMore(1).value_or(true), false);
  ASSERT_TRUE(store_->BeginCopy(folder_ / "second.db"));
  ASSERT_EQ(store_->CopyMore(1 << 20).value_or(false), true);
  EXPECT_EQ(Store::Open(folder_ / "second.db").value()->Tokens()->size(), 200U);
}

TEST_F(CopyTest, NeverOverwrites) {
  ASSERT_TRUE(store_->BeginCopy(folder_ / "copy.db"));
  ASSERT_EQ(store_->CopyMore(1 << 20).value_or(false), true);
  EXPECT_FALSE(store_->BeginCopy(folder_ / "copy.db"));
  EXPECT_FALSE(store_->BeginCopy(folder_ / "none/copy.db"));
}

TEST_F(CopyTest, ADatabaseOfAnotherConnectionIsCopiedWhole) {
  ASSERT_TRUE(store_->PutToken(Token(1)));
  store_.reset();
  ASSERT_TRUE(CopyDatabase(folder_ / "state.db", folder_ / "copy.db"));
  EXPECT_EQ(Store::Open(folder_ / "copy.db").value()->Tokens()->size(), 1U);
  EXPECT_FALSE(CopyDatabase(folder_ / "none.db", folder_ / "other.db"));
}

}  // namespace
}  // namespace tutti::store
