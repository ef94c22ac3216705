#include "tests/worker/agent/blob_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "common/base/check.h"
#include "common/digest/sha256.h"

namespace tutti::agent {
namespace {

constexpr int kPatienceMs = 10'000;

// What arrives within kPatienceMs; "" at the end.
std::string ReadSome(int connection) {
  pollfd ready{connection, POLLIN, 0};
  if (poll(&ready, 1, kPatienceMs) <= 0) return "";
  std::array<char, 65536> data{};
  const ssize_t size = recv(connection, data.data(), data.size(), 0);
  return size > 0 ? std::string(data.data(), static_cast<std::size_t>(size)) : "";
}

void SendAll(int connection, std::string_view data) {
  while (!data.empty()) {
    const ssize_t size = send(connection, data.data(), data.size(), MSG_NOSIGNAL);
    if (size <= 0) return;
    data.remove_prefix(static_cast<std::size_t>(size));
  }
}

void Answer(int connection, int status, const std::string& body, std::size_t length) {
  SendAll(connection, "HTTP/1.1 " + std::to_string(status) + " -\r\nContent-Length: " +
                          std::to_string(length) + "\r\nConnection: close\r\n\r\n" + body);
}
void Answer(int connection, int status, const std::string& body = "") {
  Answer(connection, status, body, body.size());
}

}  // namespace

struct BlobServer::Request {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  // Under which its content is kept: a blob's digest, or the target of another route.
  std::string digest() const {
    const bool blob = target.starts_with("/api/v1/blobs/");
    return blob ? target.substr(target.rfind('/') + 1) : target;
  }
  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

BlobServer::BlobServer() {
  listener_ = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  TUTTI_CHECK(bind(listener_.get(), raw, size) == 0 && listen(listener_.get(), 16) == 0);
  TUTTI_CHECK(getsockname(listener_.get(), raw, &size) == 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Serve(); });
}

BlobServer::~BlobServer() {
  stop_ = true;
  thread_.join();
}

std::string BlobServer::Add(const std::string& content) {
  const std::string digest = Sha256Of(content).ToString();
  AddAt(digest, content);
  return digest;
}

void BlobServer::AddAt(const std::string& key, const std::string& content) {
  const std::lock_guard lock(mutex_);
  blobs_[key] = content;
}

bool BlobServer::Has(const std::string& digest) const {
  const std::lock_guard lock(mutex_);
  return blobs_.count(digest) > 0;
}

void BlobServer::AnswerPosts(int status, const std::string& body) {
  const std::lock_guard lock(mutex_);
  post_status_ = status;
  post_answer_ = body;
}

std::vector<std::string> BlobServer::posts() const {
  const std::lock_guard lock(mutex_);
  return posts_;
}

void BlobServer::Damage(const std::string& digest) {
  const std::lock_guard lock(mutex_);
  blobs_.at(digest).at(0) ^= 1;
}

std::vector<std::string> BlobServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void BlobServer::Serve() {
  std::vector<UniqueFd> stalled;
  while (!stop_) {
    pollfd ready{listener_.get(), POLLIN, 0};
    if (poll(&ready, 1, 20) <= 0) continue;
    UniqueFd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection) continue;
    if (stall_) {
      stalled.push_back(std::move(connection));
    } else {
      Handle(connection.get());
    }
  }
}

void BlobServer::Handle(int connection) {
  std::string text;
  std::size_t header_end = std::string::npos;
  while ((header_end = text.find("\r\n\r\n")) == std::string::npos) {
    const std::string more = ReadSome(connection);
    if (more.empty()) return;
    text += more;
  }
  std::istringstream lines(text.substr(0, header_end + 2));
  Request request;
  std::string version;
  lines >> request.method >> request.target >> version;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(": ");
    if (colon == std::string::npos) continue;
    std::string name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    request.headers[name] = line.substr(colon + 2, line.size() - colon - 3);
  }
  request.body = text.substr(header_end + 4);
  const std::string length = request.header("content-length");
  while (!length.empty() && request.body.size() < std::stoul(length)) {
    const std::string more = ReadSome(connection);
    if (more.empty()) return;
    request.body += more;
  }
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request.method + " " + request.target);
  }
  if (request.method == "POST") {
    std::string answer;
    {
      const std::lock_guard lock(mutex_);
      posts_.push_back(request.body);
      answer = post_answer_;
    }
    return Answer(connection, post_status_, answer);
  }
  if (request.header("authorization") != std::string("Bearer ") + kToken) {
    return Answer(connection, 401, R"({"error": {"code": "auth", "message": "no token"}})");
  }
  if (request.method == "PUT") return Put(connection, request);
  Get(connection, request);
}

void BlobServer::Get(int connection, const Request& request) {
  std::string content;
  {
    const std::lock_guard lock(mutex_);
    const auto found = blobs_.find(request.digest());
    if (found == blobs_.end()) {
      return Answer(connection, 404, R"({"error": {"code": "not_found", "message": "no blob"}})");
    }
    content = found->second;
  }
  if (request.method == "HEAD") return Answer(connection, 200, "", content.size());
  int status = 200;
  if (const std::string range = request.header("range"); range.starts_with("bytes=")) {
    content.erase(0, std::stoul(range.substr(6)));
    status = 206;
  }
  const std::size_t length = content.size();
  if (const std::size_t bytes = break_after_.exchange(0); bytes > 0) content.resize(bytes);
  Answer(connection, status, content, length);
}

void BlobServer::Put(int connection, const Request& request) {
  if (put_status_ != 0) {
    return Answer(connection, put_status_, R"({"error": {"message": "as the test says"}})");
  }
  std::string content = request.body;
  if (const std::string link = request.header("x-tutti-link"); !link.empty()) {
    const auto linked = ReadFile(link);
    if (refuse_links_ || !linked) return Answer(connection, 422);
    content = *linked;
  }
  const std::string named = request.header("x-tutti-digest");
  const std::string digest = Sha256Of(content).ToString();
  if (digest != (named.empty() ? request.digest() : named)) return Answer(connection, 422);
  AddAt(request.digest(), content);
  Answer(connection, 201);
}

}  // namespace tutti::agent
