#include "scheduler/http/events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/scheduler/http/server_fixture.h"

namespace tutti::http {
namespace {

using testing::HasSubstr;

Event Durable(std::uint64_t seq, std::string job = "j-1") {
  return {.seq = seq, .job = std::move(job), .type = "started", .data = "{}"};
}
Event Progress(int step, std::string job = "j-1") {
  return {.job = std::move(job), .type = "progress", .data = std::to_string(step)};
}

// Pulls from a subscription by hand: what it has now, "" when it has nothing.
class Puller {
 public:
  explicit Puller(Response response) : body_(std::move(std::get<StreamBody>(response.body))) {}
  std::string Pull() {
    std::string got;
    auto waits = std::make_shared<std::string*>(&got);
    body_.pull([waits](const std::string& piece, bool) {
      if (*waits != nullptr) **waits = piece;
    });
    *waits = nullptr;
    return got;
  }

 private:
  StreamBody body_;
};

std::string Ids(const std::string& text) {
  std::string ids;
  for (std::size_t at = text.find("id: "); at != std::string::npos;
       at = text.find("id: ", at + 1)) {
    ids += text.substr(at + 4, text.find('\n', at) - at - 4) + " ";
  }
  return ids;
}

std::size_t CountOf(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(FormatSse, OneEvent) {
  EXPECT_EQ(FormatSse({.seq = 7, .type = "started", .data = "{}"}),
            "id: 7\nevent: started\ndata: {}\n\n");
  EXPECT_EQ(FormatSse({.type = "progress", .data = "a\nb"}),
            "event: progress\ndata: a\ndata: b\n\n");
}

TEST(EventHub, ClientsGetWhatIsNewAndWhatTheyMissed) {
  EventHub hub({});
  hub.Publish(Durable(1));
  hub.Publish(Durable(2, "j-2"));
  Puller fresh(hub.Subscribe("", std::nullopt));
  Puller after(hub.Subscribe("", 1));
  Puller all(hub.Subscribe("", 0));
  Puller one(hub.Subscribe("j-1", 0));
  Puller beyond(hub.Subscribe("", 99));
  EXPECT_EQ(Ids(fresh.Pull()), "");
  EXPECT_EQ(Ids(after.Pull()), "2 ");
  EXPECT_EQ(Ids(all.Pull()), "1 2 ");
  EXPECT_EQ(Ids(one.Pull()), "1 ");
  hub.Publish(Durable(3));
  hub.Publish(Durable(5));
  for (Puller* each : {&fresh, &after, &all, &one, &beyond}) EXPECT_EQ(Ids(each->Pull()), "3 5 ");
  EXPECT_EQ(hub.Subscribers(), 5u);
}

TEST(EventHub, ASlowClientGetsOnlyTheLatestOfEachVolatileKey) {
  EventHub hub({});
  Puller slow(hub.Subscribe("", std::nullopt));
  for (int step = 0; step < 1000; ++step) {
    hub.Publish(Progress(step));
    hub.Publish(Progress(step, "j-2"));
  }
  const std::string got = slow.Pull();
  EXPECT_EQ(CountOf(got, "event: progress"), 2u);
  EXPECT_EQ(CountOf(got, "data: 999"), 2u);
  EXPECT_EQ(Ids(got), "");
}

TEST(EventHub, DurableAndVolatileKeepTheirOrder) {
  EventHub hub({});
  Puller client(hub.Subscribe("", std::nullopt));
  hub.Publish(Progress(1));
  hub.Publish(Durable(1));
  hub.Publish(Progress(2, "j-2"));
  hub.Publish(Durable(2));
  const std::string got = client.Pull();
  EXPECT_LT(got.find("data: 1\n"), got.find("id: 1\n"));
  EXPECT_LT(got.find("id: 1\n"), got.find("data: 2\n"));
  EXPECT_LT(got.find("data: 2\n"), got.find("id: 2\n"));
}

TEST(EventHub, WhatWaitsForAClientIsBounded) {
  metrics::Metrics metrics("0", "0");
  EventHub hub({.volatile_keys_max = 10, .metrics = &metrics.http});
  Puller client(hub.Subscribe("", std::nullopt));
  for (int i = 0; i < 100; ++i) hub.Publish(Progress(i, "j-" + std::to_string(i)));
  EXPECT_EQ(CountOf(client.Pull(), "event: progress"), 10u);
  EXPECT_THAT(metrics.ToText(), HasSubstr("tutti_sse_dropped_events_total 90"));
  EXPECT_THAT(metrics.ToText(), HasSubstr("tutti_sse_subscribers 1"));
}

TEST(EventHub, ASlowClientMissesNoDurableEvent) {
  EventHub hub({.ring_events = 1000, .batch_events = 64});
  Puller client(hub.Subscribe("", std::nullopt));
  for (std::uint64_t seq = 1; seq <= 500; ++seq) hub.Publish(Durable(seq));
  std::size_t got = 0;
  for (std::string piece = client.Pull(); !piece.empty(); piece = client.Pull()) {
    EXPECT_LE(CountOf(piece, "id: "), 64u);
    got += CountOf(piece, "id: ");
  }
  EXPECT_EQ(got, 500u);
}

TEST(EventHub, EventsBeyondTheRingComeFromTheStore) {
  std::vector<Event> journal;
  for (std::uint64_t seq = 1; seq <= 30; ++seq)
    journal.push_back(Durable(seq, seq % 2 == 0 ? "j-2" : "j-1"));
  EventHub hub({.ring_events = 4,
                .batch_events = 5,
                .older = [&journal](std::uint64_t after, const std::string& job, std::size_t limit,
                                    const std::function<void(std::vector<Event>)>& done) {
                  std::vector<Event> page;
                  for (const Event& event : journal) {
                    const bool wanted = event.seq > after && (job.empty() || event.job == job);
                    if (wanted && page.size() < limit) page.push_back(event);
                  }
                  done(std::move(page));
                }});
  hub.SetLastSeq(20);
  for (std::uint64_t seq = 21; seq <= 30; ++seq) hub.Publish(journal[seq - 1]);
  const auto ids = [](Puller client) {
    std::string all;
    for (int i = 0; i < 20; ++i) all += Ids(client.Pull());
    return all;
  };
  EXPECT_EQ(ids(Puller(hub.Subscribe("", 22))), "23 24 25 26 27 28 29 30 ");
  EXPECT_EQ(ids(Puller(hub.Subscribe("j-2", 3))), "4 6 8 10 12 14 16 18 20 22 24 26 28 30 ");
  EXPECT_EQ(ids(Puller(hub.Subscribe("j-3", 0))), "");
}

TEST(EventHub, WithoutAStoreLostEventsAreCounted) {
  metrics::Metrics metrics("0", "0");
  EventHub hub({.ring_events = 4, .metrics = &metrics.http});
  for (std::uint64_t seq = 1; seq <= 10; ++seq) hub.Publish(Durable(seq));
  Puller client(hub.Subscribe("", 2));
  EXPECT_EQ(Ids(client.Pull()), "7 8 9 10 ");
  EXPECT_THAT(metrics.ToText(), HasSubstr("tutti_sse_dropped_events_total 4"));
}

class EventStream : public ServerFixture {
 protected:
  void SetUp() override {
    ServerFixture::SetUp();
    Start();
  }
  // Opens a stream and waits until the hub knows of it.
  void Open(Client& client, const std::string& query = "", Fields headers = {}) {
    client.Send(ToBytes({.path = "/events" + query, .headers = std::move(headers)}));
    const Answer head = client.ReadHead();
    ASSERT_EQ(head.status, 200);
    ASSERT_EQ(head.Header("content-type"), "text/event-stream");
  }
  // All until the event of that number is there.
  static std::string ReadThrough(Client& client, std::uint64_t seq) {
    const std::string mark = "id: " + std::to_string(seq) + "\n";
    std::string got;
    while (got.find(mark) == std::string::npos) {
      const auto chunk = client.ReadChunk();
      if (!chunk) return got + "(the stream ended)";
      got += *chunk;
    }
    return got;
  }
};

TEST_F(EventStream, EventsComeAsTheyHappen) {
  Client client(port());
  Open(client);
  for (std::uint64_t seq = 1; seq <= 3; ++seq) {
    hub_.Publish(Durable(seq));
    EXPECT_EQ(Ids(ReadThrough(client, seq)), std::to_string(seq) + " ");
  }
  client.Close();
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (hub_.Subscribers() > 0 && std::chrono::steady_clock::now() < end) continue;
  EXPECT_EQ(hub_.Subscribers(), 0u) << "a client that left is noticed without an event";
}

TEST_F(EventStream, AClientThatComesBackGoesOnWhereItWas) {
  for (std::uint64_t seq = 1; seq <= 200; ++seq) hub_.Publish(Durable(seq));
  Client by_header(port());
  Open(by_header, "?after=7", {{"last-event-id", "190"}});
  EXPECT_EQ(Ids(ReadThrough(by_header, 200)), "191 192 193 194 195 196 197 198 199 200 ");
  Client by_query(port());
  Open(by_query, "?after=197");
  EXPECT_EQ(Ids(ReadThrough(by_query, 200)), "198 199 200 ");
  Client of_one_job(port());
  Open(of_one_job, "?job=j-2&after=0");
  hub_.Publish(Durable(201, "j-2"));
  EXPECT_EQ(Ids(ReadThrough(of_one_job, 201)), "201 ");
  EXPECT_EQ(Ask({.path = "/events?after=x"}).status, 422);
}

TEST_F(EventStream, AClientThatReadsNothingHoldsUpNobody) {
  Client stuck(port());
  Open(stuck);
  Client quick(port());
  Open(quick);
  const std::string data(std::size_t{4} << 10, 'd');
  for (std::uint64_t seq = 1; seq <= 5000; ++seq) {
    hub_.Publish({.seq = seq, .type = "started", .data = data});
    hub_.Publish({.type = "progress", .data = data});
  }
  // The quick one gets all durable events, though the stuck one's socket has long been full.
  EXPECT_EQ(CountOf(ReadThrough(quick, 5000), "id: "), 5000u);
  EXPECT_TRUE(Responds());
  // And the stuck one, once it reads, has missed none of them either.
  EXPECT_EQ(CountOf(ReadThrough(stuck, 5000), "id: "), 5000u);
}

TEST_F(EventStream, AHeartbeatComesWhenNothingElseDoes) {
  Client client(port());
  client.Send(ToBytes({.path = "/quiet"}));
  EXPECT_EQ(client.ReadHead().status, 200);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.ReadChunk().value_or(""), "beat");
}

TEST_F(EventStream, EndsWhenItsTokenDoes) {
  constexpr std::string_view kGuest = "a guest's token";
  auth_.tokens().Put({.id = "t-guest",
                      .sha256 = Sha256Of(kGuest),
                      .caller = {.user = "ana", .scope = Scope::kAdmin}});
  const auto open = [&](Client& client, const std::string& path) {
    client.Send(ToBytes({.path = path, .token = std::string(kGuest)}));
    EXPECT_EQ(client.ReadHead().status, 200);
  };
  Client busy(port());
  open(busy, "/events");
  hub_.Publish(Durable(1));
  EXPECT_EQ(Ids(ReadThrough(busy, 1)), "1 ");
  Client quiet(port());
  open(quiet, "/quiet");
  EXPECT_EQ(quiet.ReadChunk().value_or(""), "beat");
  Client other(port());
  Open(other);
  auth_.tokens().Remove("t-guest");
  hub_.Publish(Durable(2));
  EXPECT_EQ(busy.ReadChunk().value_or("(cut)"), "") << "what comes after is not for it";
  std::string beat = "beat";
  while (beat == "beat") beat = quiet.ReadChunk().value_or("(cut)");
  EXPECT_EQ(beat, "");
  EXPECT_EQ(Ids(ReadThrough(other, 2)), "2 ") << "others read on";
}

TEST_F(EventStream, AClientOfHttp10ReadsUntilTheEnd) {
  Client client(port());
  client.Send("GET /events?after=0 HTTP/1.0\r\nauthorization: Bearer " + std::string(kTestToken) +
              "\r\n\r\n");
  EXPECT_EQ(client.ReadHead().Header("transfer-encoding"), "(none)");
  hub_.Publish(Durable(1));
  EXPECT_THAT(client.ReadUntil("\n\n").value_or(""), HasSubstr("id: 1\n"));
  server_->Stop(kPatience);
  EXPECT_TRUE(client.EndsSilently());
}

}  // namespace
}  // namespace tutti::http
