// Whole commands against an HTTP server of a few routes. For tests; main thread.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "run_tutti.h"
#include "tests/common/httpclient/fake_server.h"

namespace tutti::cli {

using httpclient::FakeServer;
using httpclient::Seen;

class WithServer : public testing::Test {
 protected:
  // "POST /api/v1/jobs" to what answers it; else 404.
  using Routes = std::map<std::string, std::function<std::string(const Seen&)>>;

  WithServer() {
    std::string pattern = testing::TempDir() + "commands-XXXXXX";
    dir_ = ::mkdtemp(pattern.data());
  }
  ~WithServer() override { std::filesystem::remove_all(dir_); }

  Ran Run(std::vector<std::string> args, RunWith with = {}) {
    args.insert(args.begin(), {"--url", server_.url()});
    return RunTutti(args, with);
  }
  std::string Answer(const Seen& seen) {
    const std::string path = seen.target.substr(0, seen.target.find('?'));
    const auto route = routes_.find(seen.method + " " + path);
    if (route != routes_.end()) return route->second(seen);
    return FakeServer::Json(R"({"error": {"code": "not_found", "message": "no such thing"}})", 404);
  }

  Routes routes_;
  FakeServer server_{[this](const Seen& seen) { return Answer(seen); }};
  std::filesystem::path dir_;
};

}  // namespace tutti::cli
