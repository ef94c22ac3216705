#include "scheduler/coordinator/pushed_events.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tutti::coordinator {
namespace {

using Piece = std::pair<std::string, bool>;

class PushedEventsTest : public testing::Test {
 protected:
  void Pull() {
    std::get<http::StreamBody>(response_->body).pull([this](std::string piece, bool last) {
      pieces_.emplace_back(std::move(piece), last);
    });
  }

  int gone_ = 0;
  std::vector<Piece> pieces_;
  std::shared_ptr<PushedEvents> events_ = std::make_shared<PushedEvents>();
  std::optional<http::Response> response_ = events_->Respond([this] { ++gone_; });
};

TEST_F(PushedEventsTest, WhatWasPushedBeforeIsOnePieceAndLaterOnesComeAtOnce) {
  events_->Push("piece", "{\"n\":1}", false);
  events_->Push("piece", "{\"n\":2}", false);
  Pull();
  EXPECT_EQ(pieces_.back().first,
            "event: piece\ndata: {\"n\":1}\n\nevent: piece\ndata: {\"n\":2}\n\n");
  Pull();
  ASSERT_EQ(pieces_.size(), 1U);
  events_->Push("done", "{}", true);
  EXPECT_EQ(pieces_.back(), Piece("event: done\ndata: {}\n\n", true));
  events_->Push("piece", "{}", false);
  EXPECT_EQ(pieces_.size(), 2U);
  EXPECT_EQ(response_->headers.front().second, "text/event-stream");
}

TEST_F(PushedEventsTest, TheLastOneIsLastForWhoComesLate) {
  events_->Push("error", "{}", true);
  Pull();
  EXPECT_EQ(pieces_.back(), Piece("event: error\ndata: {}\n\n", true));
}

TEST_F(PushedEventsTest, AClientThatDoesNotReadGetsNoMorePiecesButTheLast) {
  const std::string big(kUnreadBytesMax / 2, 'a');
  events_->Push("piece", big, false);
  events_->Push("piece", big, false);
  Pull();
  EXPECT_EQ(pieces_.back().first, "event: piece\ndata: " + big + "\n\n");
  events_->Push("piece", "{}", false);  // there is room again, and a gap before it
  Pull();
  ASSERT_EQ(pieces_.size(), 1U);
  events_->Push("done", "{}", true);
  EXPECT_EQ(pieces_.back(), Piece("event: done\ndata: {}\n\n", true));
}

TEST_F(PushedEventsTest, SaysOnceThatTheClientIsGone) {
  Pull();
  http::PullPiece copy = std::get<http::StreamBody>(response_->body).pull;
  response_.reset();
  EXPECT_EQ(gone_, 0);
  copy = nullptr;
  EXPECT_EQ(gone_, 1);
  events_->Push("piece", "{}", false);  // its producer may not have heard yet
}

}  // namespace
}  // namespace tutti::coordinator
