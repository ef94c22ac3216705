// Durable submits through HTTP, beside what the disk can do: clients that each wait for their
// answer before they ask again, on connections that stay, against a coordinator that runs already;
// before each run the rate at which one thread appends 4 KiB to a file and syncs it.
//
//   submit_bench PORT TOKEN BODY FOLDER CLIENTS COUNT RUNS
//
// BODY: file with the request's JSON. FOLDER: on the disk that is measured. One line a run: syncs a
// second, submits a second, median and 99th percentile of an answer's milliseconds.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/check.h"
#include "common/file/file.h"

namespace tutti {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kSyncFor = std::chrono::milliseconds(500);
constexpr std::chrono::milliseconds kPatience = std::chrono::seconds(30);

double Seconds(Clock::time_point since) {
  return std::chrono::duration<double>(Clock::now() - since).count();
}

double SyncsPerSecond(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "syncs";
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  TUTTI_CHECK(file.get() >= 0, "cannot write ", path.string());
  const std::string block(4096, 'x');
  const auto started = Clock::now();
  int syncs = 0;
  while (Clock::now() - started < kSyncFor) {
    TUTTI_CHECK(
        ::write(file.get(), block.data(), block.size()) == 4096 && ::fdatasync(file.get()) == 0,
        "cannot write ", path.string());
    ++syncs;
  }
  const double rate = syncs / Seconds(started);
  std::filesystem::remove(path);
  return rate;
}

struct Connection {
  UniqueFd fd;
  std::string seen;
  Clock::time_point asked;
};

class Clients {
 public:
  Clients(std::uint16_t port, const std::string& token, std::string body, std::size_t count)
      : head_(
            "POST /api/v1/jobs HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer " + token +
            "\r\ncontent-type: application/json\r\ncontent-length: " + std::to_string(body.size()) +
            "\r\nidempotency-key: bench-" + std::to_string(::getpid()) + "-"),
        body_(std::move(body)),
        connections_(count) {
    for (Connection& each : connections_) {
      each.fd = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(port);
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      const int on = 1;
      TUTTI_CHECK(::setsockopt(each.fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
                      ::connect(each.fd.get(), reinterpret_cast<const sockaddr*>(&address),
                                sizeof address) == 0,
                  "cannot connect to port ", port);
    }
  }

  // Submits so many; what each answer took, in milliseconds.
  std::vector<double> Submit(std::size_t count) {
    std::vector<double> took;
    took.reserve(count);
    std::size_t asked = 0;
    std::vector<pollfd> waits;
    for (Connection& each : connections_) {
      waits.push_back({.fd = each.fd.get(), .events = POLLIN, .revents = 0});
      if (asked++ < count) Ask(each);
    }
    while (took.size() < count) {
      TUTTI_CHECK(::poll(waits.data(), waits.size(), static_cast<int>(kPatience.count())) > 0,
                  "the coordinator says nothing");
      for (std::size_t i = 0; i < waits.size(); ++i) {
        if (waits[i].revents == 0 || !Answered(connections_[i])) continue;
        took.push_back(Seconds(connections_[i].asked) * 1e3);
        if (asked++ < count) Ask(connections_[i]);
      }
    }
    return took;
  }

 private:
  void Ask(Connection& connection) {
    const std::string request = head_ + std::to_string(++keys_) + "\r\n\r\n" + body_;
    connection.asked = Clock::now();
    // It fits the socket's buffer: the answer to the one before was read.
    TUTTI_CHECK(::send(connection.fd.get(), request.data(), request.size(), MSG_NOSIGNAL) ==
                    static_cast<ssize_t>(request.size()),
                "the connection was closed");
  }

  // Reads what came; whether the answer is complete.
  static bool Answered(Connection& connection) {
    char block[1 << 16];
    const ssize_t got = ::recv(connection.fd.get(), block, sizeof block, 0);
    TUTTI_CHECK(got > 0, "the connection was closed");
    connection.seen.append(block, static_cast<std::size_t>(got));
    const std::size_t head = connection.seen.find("\r\n\r\n");
    if (head == std::string::npos) return false;
    constexpr std::string_view kLength = "\r\ncontent-length: ";
    const std::size_t length = connection.seen.find(kLength);
    TUTTI_CHECK(connection.seen.starts_with("HTTP/1.1 201") && length < head, connection.seen);
    const std::size_t size =
        std::strtoull(connection.seen.c_str() + length + kLength.size(), nullptr, 10);
    if (connection.seen.size() < head + 4 + size) return false;
    connection.seen.clear();
    return true;
  }

  const std::string head_;
  const std::string body_;
  std::vector<Connection> connections_;
  std::uint64_t keys_ = 0;
};

double Percentile(std::vector<double>& values, double share) {
  const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

int Run(char** arguments) {
  const auto number = [&](int i) { return std::strtoull(arguments[i], nullptr, 10); };
  const auto body = ReadFile(arguments[3]);
  TUTTI_CHECK(body.has_value(), "cannot read ", arguments[3]);
  Clients clients(static_cast<std::uint16_t>(number(1)), arguments[2], *body, number(5));
  for (std::uint64_t run = 0; run < number(7); ++run) {
    const double syncs = SyncsPerSecond(arguments[4]);
    const auto started = Clock::now();
    std::vector<double> took = clients.Submit(number(6));
    const double rate = static_cast<double>(took.size()) / Seconds(started);
    std::printf("%.1f %.1f %.3f %.3f\n", syncs, rate, Percentile(took, 0.5),
                Percentile(took, 0.99));
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace tutti

int main(int argc, char** argv) {
  if (argc == 8) return tutti::Run(argv);
  std::fprintf(stderr, "usage: submit_bench PORT TOKEN BODY FOLDER CLIENTS COUNT RUNS\n");
  return 2;
}
