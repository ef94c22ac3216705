// A client that writes exactly the bytes a test wants, over a real socket. Every wait ends at a
// deadline and then fails the test. One thread at a time.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/file/file.h"
#include "scheduler/http/message.h"

namespace tutti::http {

inline constexpr std::string_view kTestToken = "token-for-tests-0123456789";
inline constexpr auto kPatience = std::chrono::seconds(30);

struct Answer {
  int status = 0;  // 0: the connection ended before an answer
  Fields headers;
  std::string body;

  std::string Header(std::string_view name) const {
    return std::string(Find(headers, name).value_or("(none)"));
  }
};

struct Call {
  std::string method = "GET";
  std::string path = "/";
  Fields headers = {};
  std::string body = {};
  std::string token = std::string(kTestToken);  // "" = no Authorization header
};

inline std::string ToBytes(const Call& call) {
  std::string text = call.method + " " + call.path + " HTTP/1.1\r\n";
  const auto add = [&text](std::string_view name, std::string_view value) {
    text.append(name).append(": ").append(value).append("\r\n");
  };
  if (!Find(call.headers, "host")) add("host", "localhost");
  if (!call.token.empty()) add("authorization", "Bearer " + call.token);
  for (const auto& [name, value] : call.headers) add(name, value);
  if (!call.body.empty() || call.method == "POST" || call.method == "PUT") {
    add("content-length", std::to_string(call.body.size()));
  }
  return text + "\r\n" + call.body;
}

class Client {
 public:
  explicit Client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      ADD_FAILURE() << "connect: errno " << errno;
    }
  }

  int fd() const { return fd_.get(); }
  void Close() { fd_.Reset(); }

  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      if (!Ready(POLLOUT)) return;
      const ssize_t sent =
          ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno == EAGAIN) continue;
      if (sent < 0) return;  // the server has closed: what it said is there to read
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  // Up to the next bytes that come; false at the connection's end.
  bool Fill() {
    if (!Ready(POLLIN)) return false;
    std::string block(std::size_t{1} << 16, '\0');
    const ssize_t got = ::recv(fd_.get(), block.data(), block.size(), 0);
    if (got <= 0) return false;
    seen_.append(block, 0, static_cast<std::size_t>(got));
    return true;
  }

  // Takes what comes until and with `mark`; nullopt when the connection ends before.
  std::optional<std::string> ReadUntil(std::string_view mark) {
    std::size_t at = seen_.find(mark);
    while (at == std::string::npos) {
      if (!Fill()) return std::nullopt;
      at = seen_.find(mark);
    }
    return Take(at + mark.size());
  }

  // One answer's status and headers.
  Answer ReadHead() {
    Answer answer;
    const auto head = ReadUntil("\r\n\r\n");
    if (!head) return answer;
    answer.status = std::atoi(head->c_str() + std::string_view("HTTP/1.1 ").size());
    std::size_t line = head->find("\r\n") + 2;
    while (line < head->size() - 2) {
      const std::size_t end = head->find("\r\n", line);
      const std::size_t colon = head->find(": ", line);
      std::string name = head->substr(line, colon - line);
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      answer.headers.emplace_back(std::move(name), head->substr(colon + 2, end - colon - 2));
      line = end + 2;
    }
    return answer;
  }

  // One answer with its body. `to_head`: it answers a HEAD, so that no body follows.
  Answer Read(bool to_head = false) {
    Answer answer = ReadHead();
    if (answer.status == 0 || to_head || answer.status < 200 || answer.status == 204 ||
        answer.status == 304) {
      return answer;
    }
    if (answer.Header("transfer-encoding") == "chunked") {
      while (auto chunk = ReadChunk()) {
        if (chunk->empty()) return answer;
        answer.body += *chunk;
      }
      ADD_FAILURE() << "the answer was cut short";
      return answer;
    }
    if (const auto length = Find(answer.headers, "content-length")) {
      const auto size = static_cast<std::size_t>(std::stoull(std::string(*length)));
      while (seen_.size() < size && Fill()) continue;
      EXPECT_GE(seen_.size(), size) << "the answer was cut short";
      answer.body = Take(std::min(size, seen_.size()));
      return answer;
    }
    while (Fill()) continue;
    answer.body = Take(seen_.size());
    return answer;
  }

  // The next chunk of a chunked body; "" for the last one, nullopt when the connection ends.
  std::optional<std::string> ReadChunk() {
    const auto size_line = ReadUntil("\r\n");
    if (!size_line) return std::nullopt;
    const std::size_t size = std::stoul(*size_line, nullptr, 16);
    while (seen_.size() < size + 2) {
      if (!Fill()) return std::nullopt;
    }
    std::string chunk = Take(size);
    EXPECT_EQ(Take(2), "\r\n");
    return chunk;
  }

  Answer Ask(const Call& call) {
    Send(ToBytes(call));
    return Read(call.method == "HEAD");
  }

  // Whether the server ends the connection, having said no more than what was read.
  bool EndsSilently() {
    while (Fill()) continue;
    return seen_.empty();
  }

 private:
  bool Ready(short events) const {
    pollfd wait{.fd = fd_.get(), .events = events, .revents = 0};
    const auto patience = std::chrono::milliseconds(kPatience).count();
    const int ready = ::poll(&wait, 1, static_cast<int>(patience));
    EXPECT_EQ(ready, 1) << "the server says nothing";
    return ready == 1;
  }

  std::string Take(std::size_t size) {
    std::string taken = seen_.substr(0, size);
    seen_.erase(0, size);
    return taken;
  }

  UniqueFd fd_;
  std::string seen_;  // came, and not read yet
};

}  // namespace tutti::http
