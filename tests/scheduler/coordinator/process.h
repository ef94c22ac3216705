// The built coordinator as a child process in a scratch folder, and calls of its API. One thread.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "common/base/time.h"
#include "common/httpclient/http.h"
#include "tests/common/base/wait_until.h"

namespace tutti::coordinator {

namespace fs = std::filesystem;
using nlohmann::json;

class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

struct Answer {
  int status = 0;
  json body{};
  std::string text{};
  std::string next_offset{};
};

class CoordinatorProcess {
 public:
  explicit CoordinatorProcess(fs::path data_dir) : dir_(std::move(data_dir)) {}
  ~CoordinatorProcess();  // SIGKILL if it still runs

  // Starts it on free ports (or those of `http`, `zmq`) and waits until it serves. False when it
  // ended instead; then exit_code() says how.
  bool Start(const std::string& http = "127.0.0.1:0", const std::string& zmq = "127.0.0.1:0");
  void Signal(int number) const;
  // Its exit code, 128 + signal when it was killed; -1 when it still runs after a minute.
  int Wait();
  int exit_code() const { return exit_code_; }
  pid_t pid() const { return pid_; }
  const std::string& url() const { return url_; }
  const std::string& zmq() const { return zmq_; }
  const fs::path& dir() const { return dir_; }
  std::string log() const;

  std::string Token() const;
  Answer Call(const std::string& method, const std::string& target, const std::string& body = "",
              std::vector<std::pair<std::string, std::string>> headers = {}) const;
  Answer Get(const std::string& target) const { return Call("GET", target); }
  Answer Post(const std::string& target, const json& body = json::object()) const;
  // A blob with this content; its digest.
  std::string PutBlob(const std::string& content) const;
  // A body for POST /api/v1/jobs whose blobs are there.
  json Submission(const std::string& name) const;
  // Submits it; the job's id.
  std::string Submit(const std::string& name) const;
  std::string StateOf(const std::string& job) const;

  std::vector<std::string> options{};  // more words for its command line, from the next Start on

 private:
  fs::path dir_;
  pid_t pid_ = 0;
  int exit_code_ = -1;
  std::string url_;
  std::string zmq_;
};

}  // namespace tutti::coordinator
