#include "process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/digest/sha256.h"
#include "common/file/file.h"
#include "jobs/spec/parse.h"

namespace tutti::coordinator {
namespace {

fs::path Program() {
  return fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "bin/tutti-coordinator";
}

}  // namespace

ScratchFolder::ScratchFolder() {
  std::string pattern = testing::TempDir() + "coordinator-XXXXXX";
  path_ = ::mkdtemp(pattern.data());
}
ScratchFolder::~ScratchFolder() { fs::remove_all(path_); }

CoordinatorProcess::~CoordinatorProcess() {
  if (pid_ == 0) return;
  Signal(SIGKILL);
  Wait();
}

bool CoordinatorProcess::Start(const std::string& http, const std::string& zmq) {
  fs::create_directories(dir_);
  const std::string program = Program();
  const std::string log_path = dir_ / "coordinator.log";
  std::vector<std::string> words = {program, "--data-dir", dir_, "--http", http, "--zmq", zmq};
  words.insert(words.end(), options.begin(), options.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  exit_code_ = -1;
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int log = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(log, STDERR_FILENO);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  const fs::path serving = dir_ / "coordinator/serving.json";
  const bool ended_or_serves = WaitUntil([&] {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      pid_ = 0;
      return true;
    }
    const auto text = ReadFile(serving);
    const json where = text ? json::parse(*text, nullptr, false) : json();
    if (!where.is_object() || where["pid"] != pid_) return false;
    url_ = where["url"];
    zmq_ = where["zmq"];
    return true;
  });
  EXPECT_TRUE(ended_or_serves) << log();
  return ended_or_serves && pid_ != 0;
}

void CoordinatorProcess::Signal(int number) const { ::kill(pid_, number); }

int CoordinatorProcess::Wait() {
  int status = 0;
  if (!WaitUntil([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; })) return -1;
  pid_ = 0;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return exit_code_;
}

std::string CoordinatorProcess::log() const {
  return ReadFile(dir_ / "coordinator.log").value_or("");
}

std::string CoordinatorProcess::Token() const {
  std::string token = ReadFile(dir_ / "token").value_or("");
  while (!token.empty() && token.back() == '\n') token.pop_back();
  return token;
}

Answer CoordinatorProcess::Call(const std::string& method, const std::string& target,
                                const std::string& body,
                                std::vector<std::pair<std::string, std::string>> headers) const {
  httpclient::Request request;
  request.method = method;
  request.target = target;
  request.headers = std::move(headers);
  request.headers.emplace_back("Authorization", "Bearer " + Token());
  if (!body.empty()) request.headers.emplace_back("Content-Type", "application/json");
  request.body = body;
  const auto url = httpclient::ParseUrl(url_);
  if (!url) return {};
  const auto response = httpclient::Send(*url, request);
  if (!response) return {.status = 0, .body = {}, .text = response.error().ToString()};
  return {.status = response->status,
          .body = json::parse(response->body, nullptr, false),
          .text = response->body,
          .next_offset = response->Header("x-next-offset")};
}

Answer CoordinatorProcess::Post(const std::string& target, const json& body) const {
  return Call("POST", target, body.dump());
}

std::string CoordinatorProcess::PutBlob(const std::string& content) const {
  const std::string digest = Sha256Of(content).ToString();
  const Answer answer = Call("PUT", "/api/v1/blobs/" + digest, content);
  EXPECT_TRUE(answer.status == 200 || answer.status == 201) << answer.text;
  return digest;
}

json CoordinatorProcess::Submission(const std::string& name) const {
  const std::string config = "{\"model_type\": \"bert\"}";
  const std::string rows = "{\"text\": \"a\", \"label\": \"x\"}\n";
  spec::JobSpec job;
  job.name = name;
  job.model = "./models/bert-tiny";
  job.data.train = "rows.jsonl";
  job.inputs.model = {{"config.json", PutBlob(config), static_cast<std::int64_t>(config.size())}};
  job.inputs.train =
      spec::InputFile{"rows.jsonl", PutBlob(rows), static_cast<std::int64_t>(rows.size())};
  return {{"spec", spec::ToJson(job)}, {"hold", false}};
}

std::string CoordinatorProcess::Submit(const std::string& name) const {
  const Answer answer = Post("/api/v1/jobs", Submission(name));
  EXPECT_EQ(answer.status, 201) << answer.text;
  return answer.status == 201 ? answer.body["id"].get<std::string>() : "";
}

std::string CoordinatorProcess::StateOf(const std::string& job) const {
  const Answer answer = Get("/api/v1/jobs/" + job);
  return answer.status == 200 ? answer.body["state"].get<std::string>() : answer.text;
}

}  // namespace tutti::coordinator
