// A tutti-engine without LibTorch for the agent's tests: the same zygote protocol, ranks that are
// real MPI programs, and a script (the spec's "script") that says how a rank behaves.
#include <fcntl.h>
#include <mpi.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "common/enginelink/messages.h"

namespace {

using namespace tutti::enginelink;  // a test program of one file

int link_fd = -1;
LineBuffer lines;

void Say(const ToWorker& message) {
  const std::string line = Encode(message);
  if (write(link_fd, line.data(), line.size()) != static_cast<ssize_t>(line.size())) _exit(9);
}

std::optional<std::string> Hear(int timeout_ms) {
  if (auto line = lines.Next()) return line;
  pollfd ready{link_fd, POLLIN, 0};
  if (poll(&ready, 1, timeout_ms) <= 0) return std::nullopt;
  std::array<char, 65536> data{};
  const ssize_t size = read(link_fd, data.data(), data.size());
  if (size <= 0) _exit(8);
  if (!lines.Append({data.data(), static_cast<std::size_t>(size)})) _exit(7);
  return lines.Next();
}

std::string HearLine() {
  while (true) {
    if (auto line = Hear(1000)) return *line;
  }
}

[[noreturn]] void FailWith(const Plan& plan, const std::string& reason) {
  Say(Failed{
      .rank = plan.rank, .reason = reason, .message = "as the script says", .where = "script"});
  _exit(1);
}

// Trains until the script's end, or until it is told to stop.
bool Steps(const Plan& plan, const std::string& script) {
  for (std::uint64_t step = 1;; ++step) {
    int stop = 0;
    if (plan.rank == 0) {
      if (const auto line = Hear(5)) {
        const auto message = DecodeToEngine(*line);
        stop = message && std::holds_alternative<Stop>(*message) ? 1 : 0;
      }
    }
    MPI_Allreduce(MPI_IN_PLACE, &stop, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    Say(Beat{.rank = plan.rank, .step = step, .collective = step, .phase = "reduce"});
    if (plan.rank == 0) Say(Progress{.step = step, .total_steps = 10, .loss = 1.0});
    if (stop != 0) return false;
    if (script == "forever") continue;
    if (step == 10) return true;
  }
}

int Train(const std::vector<std::string>& arguments) {
  int memory = -1;
  for (std::size_t i = 0; i + 1 < arguments.size(); ++i) {
    if (arguments[i] == "--link-fd") link_fd = std::stoi(arguments[i + 1]);
    if (arguments[i] == "--memory-fd") memory = std::stoi(arguments[i + 1]);
  }
  const auto first = DecodeToEngine(HearLine());
  if (!first || !std::holds_alternative<Plan>(*first)) _exit(6);
  const Plan& plan = std::get<Plan>(*first);
  const std::string script = plan.spec.value("script", "succeed");
  std::cout << "rank " << plan.rank << " of " << plan.size << std::endl;
  std::cerr << "a line on stderr" << std::endl;

  MPI_Init(nullptr, nullptr);
  int rank = -1, size = -1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (rank != static_cast<int>(plan.rank) || size != static_cast<int>(plan.size)) {
    FailWith(plan, "internal");
  }
  int sum = rank + 1;
  MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  if (sum != size * (size + 1) / 2) FailWith(plan, "internal");
  struct stat memory_stat {};
  if (fstat(memory, &memory_stat) != 0) FailWith(plan, "internal");

  const bool last = plan.rank + 1 == plan.size;
  Say(Ready{.rank = plan.rank, .from_step = 0});
  if (script == "numeric" && last) FailWith(plan, "numeric");
  if (script == "segv" && last) raise(SIGSEGV);
  if (script == "abort" && last) MPI_Abort(MPI_COMM_WORLD, 3);
  if (script == "chatter" && rank == 0) {
    for (int i = 0; i < 20000; ++i) std::cout << "line " << i << " of a rank that talks a lot\n";
    std::cout << std::flush;
  }
  const bool finished = Steps(plan, script);
  if (plan.rank == 0) {
    if (finished) {
      std::filesystem::create_directories(plan.export_dir);
      std::ofstream(plan.export_dir + "/model.safetensors") << "weights of " << plan.job;
      std::ofstream(plan.export_dir + "/config.json") << "{}";
      Say(Done{.outcome = Done::Outcome::kSucceeded,
               .step = 10,
               .metrics = {{"accuracy", 0.5}},
               .files = {"config.json", "model.safetensors"}});
    } else {
      Say(Checkpoint{
          .step = 3, .path = plan.checkpoint_dir + "/3.h5", .state_digest = "sha256:00"});
      Say(Done{.outcome = Done::Outcome::kReleased, .step = 3});
    }
  }
  MPI_Finalize();
  return 0;
}

// Answers with its request; the request's "script" says how it goes wrong.
int Tool(const std::vector<std::string>& arguments) {
  std::ifstream file(arguments.at(2));
  const auto request = nlohmann::json::parse(file, nullptr, false);
  const std::string script = request.value("script", "succeed");
  if (script == "speak") {
    for (const char* word : {"one", "two"}) {
      std::cout << nlohmann::json{{"piece", {{"answer", 0}, {"text", word}}}} << std::endl;
    }
  }
  if (script == "hang" || request.value("then_hang", false)) pause();
  if (script == "die") raise(SIGKILL);
  if (script == "refuse") {
    std::cout << R"({"error": {"code": "invalid", "message": "bad row", "where": "a.jsonl:3"}})";
    return 3;
  }
  std::cout << nlohmann::json{{"tool", arguments.at(0)}, {"echo", request}};
  return 0;
}

struct Received {
  std::string packet;
  std::vector<int> fds;
};

bool Receive(int socket, Received& received) {
  static std::array<char, 1 << 20> data;
  iovec space{data.data(), data.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(16 * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &space;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = recvmsg(socket, &message, 0);
  if (size <= 0) return false;
  received.packet.assign(data.data(), static_cast<std::size_t>(size));
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    received.fds.resize(count);
    std::memcpy(received.fds.data(), CMSG_DATA(c), count * sizeof(int));
  }
  return true;
}

int RunChild(const Spawn& spawn, const std::vector<int>& fds, pid_t parent) {
  setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(5);
  for (const auto& [name, value] : spawn.environment) setenv(name.c_str(), value.c_str(), 1);
  std::vector<std::string> arguments = spawn.arguments;
  for (std::size_t i = 0; i < fds.size(); ++i) {
    if (spawn.fd_names[i] == "stdout") dup2(fds[i], STDOUT_FILENO);
    if (spawn.fd_names[i] == "stderr") dup2(fds[i], STDERR_FILENO);
    for (std::string& argument : arguments) {
      if (argument == "{" + spawn.fd_names[i] + "}") argument = std::to_string(fds[i]);
    }
  }
  return arguments[0] == "train" ? Train(arguments) : Tool(arguments);
}

void ReportExits(int socket, std::map<pid_t, std::uint64_t>& children) {
  int status = 0;
  rusage usage{};
  for (pid_t pid = 0; (pid = wait4(-1, &status, WNOHANG, &usage)) > 0;) {
    const std::string event = EncodePacket(
        Exited{.id = children[pid],
               .pid = pid,
               .wait_status = status,
               .memory_peak_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024});
    children.erase(pid);
    send(socket, event.data(), event.size(), MSG_NOSIGNAL);
  }
}

int ZygoteMain(int socket) {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, nullptr);
  const int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  std::map<pid_t, std::uint64_t> children;
  while (true) {
    std::array<pollfd, 2> ready{{{socket, POLLIN, 0}, {signals, POLLIN, 0}}};
    poll(ready.data(), ready.size(), -1);
    if (ready[1].revents != 0) {
      signalfd_siginfo info{};
      while (read(signals, &info, sizeof info) > 0) {
      }
      ReportExits(socket, children);
    }
    if (ready[0].revents == 0) continue;
    Received received;
    if (!Receive(socket, received)) return 0;
    const auto spawn = DecodeSpawn(received.packet);
    if (!spawn) return 4;
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0) {
      close(socket);
      exit(RunChild(*spawn, received.fds, parent));
    }
    children[pid] = spawn->id;
    for (const int fd : received.fds) close(fd);
    const std::string event = EncodePacket(Spawned{.id = spawn->id, .pid = pid});
    send(socket, event.data(), event.size(), MSG_NOSIGNAL);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && std::string(argv[1]) == "zygote") return ZygoteMain(std::stoi(argv[3]));
  return 2;
}
