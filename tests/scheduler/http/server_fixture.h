// A server on a free port with routes of every kind, for the tests of scheduler/http. One thread.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "common/file/file.h"
#include "monitoring/metrics/metrics.h"
#include "scheduler/http/events.h"
#include "scheduler/http/server.h"
#include "tests/scheduler/http/client.h"

namespace tutti::http {

// Responders that a test answers when it likes.
class Kept {
 public:
  void Put(Responder responder) {
    const std::lock_guard lock(mutex_);
    responder_.emplace(std::move(responder));
    came_.notify_all();
  }
  Responder Take() {
    std::unique_lock lock(mutex_);
    if (!came_.wait_for(lock, kPatience, [this] { return responder_.has_value(); })) {
      throw std::runtime_error("no request came");
    }
    Responder taken = *responder_;
    responder_.reset();
    return taken;
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::optional<Responder> responder_;
};

class ServerFixture : public testing::Test {
 protected:
  static constexpr std::int64_t kUploadMax = 1 << 20;
  static constexpr std::string_view kFileText = "0123456789abcdef";

  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) / ("http-" + std::to_string(::getpid()));
    ASSERT_TRUE(MakeDirectories(folder_ / "spool"));
    auth_.tokens().Put({.id = "t-admin",
                        .sha256 = Sha256Of(kTestToken),
                        .caller = {.user = "local", .scope = Scope::kAdmin}});
    ASSERT_TRUE(WriteFileAtomically(folder_ / "file", kFileText));
    AddRoutes();
  }
  void TearDown() override {
    server_.reset();
    EXPECT_TRUE(std::filesystem::is_empty(folder_ / "spool")) << "an upload was left behind";
    ASSERT_TRUE(RemoveTree(folder_));
  }

  void Start(ServerOptions options = {}) {
    options.spool_dir = folder_ / "spool";
    options.metrics = &metrics_.http;
    server_ = Server::Start(std::move(options), router_, auth_).value();
  }
  std::uint16_t port() const { return server_->Port(); }
  // Of one request on a connection of its own.
  Answer Ask(const Call& call) { return Client(port()).Ask(call); }
  // Of bytes as they are; the connection's end tells that there is no more.
  Answer AskRaw(std::string_view bytes) {
    Client client(port());
    client.Send(bytes);
    return client.Read();
  }
  std::string MetricsText() { return metrics_.ToText(); }
  bool Responds() { return Ask({.path = "/healthz", .token = ""}).status == 200; }

  void Add(Method method, std::string path, Handler handler, Route more = {}) {
    more.method = method;
    more.path = std::move(path);
    more.summary = "for tests";
    more.handler = std::move(handler);
    router_.Add(std::move(more));
  }

  std::filesystem::path folder_;
  metrics::Metrics metrics_{"0", "0"};
  Kept kept_;
  EventHub hub_{{.metrics = &metrics_.http}};
  std::atomic<int> pulls_{0};  // of /endless
  Router router_;
  Auth auth_{{"tutti.example"}};
  std::unique_ptr<Server> server_;

 private:
  void AddRoutes();
};

inline void ServerFixture::AddRoutes() {
  using nlohmann::json;
  const auto say = [](std::string text) {
    return [text = std::move(text)](const Request&, const Responder& responder) {
      responder.Send(Text(200, text));
    };
  };
  Add(Method::kGet, "/healthz", say("ok"), {.access = Access::kOpen});
  Add(Method::kGet, "/metrics", say("metrics"), {.access = Access::kOpen});
  Add(Method::kGet, "/hello", say("hello"));
  Add(Method::kGet, "/pool", say("from the pool"), {.run_on = RunOn::kPool});
  Add(Method::kDelete, "/hello",
      [](const Request&, const Responder& responder) { responder.Send(Text(204, "")); });
  Add(Method::kPost, "/echo",
      [](const Request& request, const Responder& responder) {
        responder.Send(Json(200, {{"got", request.json ? *request.json : json("nothing")},
                                  {"user", request.caller.user},
                                  {"loopback", request.loopback}}));
      },
      {.body = Body::kJson, .body_max = Bytes{64 << 10}});
  Add(Method::kPut, "/upload",
      [](Request request, const Responder& responder) {
        responder.Send(Json(201, {{"size", request.file->size().count},
                                  {"digest", request.file->digest().ToString()}}));
      },
      {.body = Body::kFile, .body_max = Bytes{kUploadMax}, .run_on = RunOn::kPool});
  const auto params = [](const Request& request, const Responder& responder) {
    responder.Send(Json(200, {{"params", request.params}, {"query", request.query}}));
  };
  Add(Method::kGet, "/two/{a}/{b}", params);
  Add(Method::kGet, "/tree/{path...}", params);
  Add(Method::kGet, "/headers", [](const Request& request, const Responder& responder) {
    responder.Send(Json(200, request.headers));
  });
  Add(Method::kGet, "/file", [this](const Request&, const Responder& responder) {
    responder.Send(File(folder_ / "file", "text/plain", "\"tag\""));
  });
  Add(Method::kGet, "/later",
      [this](const Request&, Responder responder) { kept_.Put(std::move(responder)); });
  Add(Method::kGet, "/silent", [](const Request&, const Responder&) {});
  Add(Method::kGet, "/throws",
      [](const Request&, const Responder&) { throw std::runtime_error("a bug"); });
  Add(Method::kGet, "/events", [this](const Request& request, const Responder& responder) {
    auto stream = hub_.Subscribe(request, std::string(request.Query("job").value_or("")));
    responder.Send(stream ? std::move(*stream) : ErrorResponse(stream.error()));
  });
  Add(Method::kGet, "/endless", [this](const Request&, const Responder& responder) {
    responder.Send({.body = StreamBody{.pull = [this](const PieceSink& sink) {
                      ++pulls_;
                      sink(std::string(std::size_t{64} << 10, 'e'), false);
                    }}});
  });
  Add(Method::kGet, "/quiet", [](const Request&, const Responder& responder) {
    auto waits = std::make_shared<std::optional<PieceSink>>();
    responder.Send(
        {.body = StreamBody{.pull = [waits](PieceSink sink) { *waits = std::move(sink); },
                            .heartbeat = "beat",
                            .heartbeat_every = std::chrono::milliseconds(5)}});
  });
}

}  // namespace tutti::http
