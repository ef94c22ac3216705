#include "jobs/client/sse.h"

#include <gmock/gmock.h>

namespace tutti::client {
namespace {

using testing::ElementsAre;

constexpr std::string_view kStream =
    ": hello\n\nid: 7\nevent: progress\ndata: {\"step\": 1}\n\n"
    "event: eval\r\ndata: a\r\ndata: b\r\n\r\ndata:no space\n\n";

TEST(Sse, ReadsTypesIdsAndJoinedData) {
  EventParser parser;
  EXPECT_THAT(parser.Feed(kStream), ElementsAre(ServerEvent{"progress", "{\"step\": 1}", "7"},
                                                ServerEvent{"eval", "a\nb", "7"},
                                                ServerEvent{"message", "no space", "7"}));
}

TEST(Sse, CutsAnywhereChangeNothing) {
  EventParser whole;
  const auto expected = whole.Feed(kStream);
  for (std::size_t cut = 0; cut <= kStream.size(); ++cut) {
    EventParser parser;
    auto events = parser.Feed(kStream.substr(0, cut));
    for (auto& event : parser.Feed(kStream.substr(cut))) events.push_back(event);
    EXPECT_EQ(events, expected) << "cut at " << cut;
  }
}

TEST(Sse, AnEventWithoutDataIsNone) {
  EventParser parser;
  EXPECT_TRUE(parser.Feed("id: 9\nevent: x\n\n").empty());
  EXPECT_EQ(parser.last_id(), "9");
}

TEST(Sse, AnUnfinishedEventIsNotHandedOut) {
  EventParser parser;
  EXPECT_TRUE(parser.Feed("data: half\n").empty());
}

}  // namespace
}  // namespace tutti::client
