#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "scheduler/store/store.h"

namespace tutti::store {
namespace {

namespace fs = std::filesystem;

class WebhookRows : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    Reopen();
  }
  void TearDown() override {
    store_.reset();
    fs::remove_all(folder_);
  }
  void Reopen() {
    store_.reset();
    auto store = Store::Open(folder_ / "state.db");
    ASSERT_TRUE(store) << store.error().ToString();
    store_ = std::move(*store);
  }
  std::vector<std::string> Waiting() {
    std::vector<std::string> ids;
    const auto rows = store_->Deliveries().value();
    for (const StoredDelivery& each : rows) {
      ids.push_back(each.id + " " + std::to_string(each.tries));
    }
    return ids;
  }

  fs::path folder_ = fs::path(testing::TempDir()) / ("webhooks-" + std::to_string(::getpid()));
  std::unique_ptr<Store> store_;
};

TEST_F(WebhookRows, AreKeptOldestFirstUntilTheyAreRemoved) {
  ASSERT_TRUE(store_->PutWebhook({.id = "h-2",
                                  .name = "chat",
                                  .url = "https://a.example/",
                                  .on = "failed,succeeded",
                                  .user = "ana",
                                  .created = WallTime{2000},
                                  .after_seq = 17}));
  ASSERT_TRUE(store_->PutWebhook({.id = "h-1",
                                  .name = "",
                                  .url = "u",
                                  .on = "failed",
                                  .user = "ben",
                                  .created = WallTime{3000}}));
  Reopen();
  auto rows = store_->Webhooks().value();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].id, "h-2");
  EXPECT_EQ(rows[0].name, "chat");
  EXPECT_EQ(rows[0].url, "https://a.example/");
  EXPECT_EQ(rows[0].on, "failed,succeeded");
  EXPECT_EQ(rows[0].user, "ana");
  EXPECT_EQ(rows[0].created, WallTime{2000});
  EXPECT_EQ(rows[0].after_seq, 17u);
  ASSERT_TRUE(store_->RemoveWebhook("h-2"));
  EXPECT_EQ(store_->Webhooks().value().size(), 1u);
}

TEST_F(WebhookRows, MessagesWaitUntilTheyAreOverAndFactsAreLookedAtOnce) {
  EXPECT_EQ(store_->DeliveriesSeq().value(), std::nullopt);
  const std::vector<StoredDelivery> rows = {
      {.id = "a", .webhook = "h-1", .url = "", .user = "", .body = "{}"},
      {.id = "b", .webhook = "", .url = "http://x/", .user = "ana", .body = "{}", .tries = 3}};
  ASSERT_TRUE(store_->SaveDeliveries(5, rows, {}));
  Reopen();
  EXPECT_EQ(store_->DeliveriesSeq().value(), 5u);
  EXPECT_EQ(Waiting(), (std::vector<std::string>{"a 0", "b 3"}));
  EXPECT_EQ(store_->Deliveries().value()[1].user, "ana");
  StoredDelivery tried = rows[1];
  tried.tries = 4;
  const std::vector<std::string> over = {"a"};
  ASSERT_TRUE(store_->SaveDeliveries(9, std::vector{tried}, over));
  EXPECT_EQ(store_->DeliveriesSeq().value(), 9u);
  EXPECT_EQ(Waiting(), (std::vector<std::string>{"b 4"}));
}

TEST_F(WebhookRows, AWebhookGoesWithWhatWaitsForIt) {
  ASSERT_TRUE(
      store_->PutWebhook({.id = "h-1", .name = "", .url = "u", .on = "failed", .user = ""}));
  const std::vector<StoredDelivery> rows = {
      {.id = "a", .webhook = "h-1", .url = "", .user = "", .body = "{}"},
      {.id = "b", .webhook = "", .url = "http://x/", .user = "ana", .body = "{}"}};
  ASSERT_TRUE(store_->SaveDeliveries(1, rows, {}));
  ASSERT_TRUE(store_->RemoveWebhook("h-1"));
  EXPECT_EQ(Waiting(), (std::vector<std::string>{"b 0"}));
}

}  // namespace
}  // namespace tutti::store
