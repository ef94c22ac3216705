// What of the cluster this machine sees: the coordinator, its workers, what earlier lives left.
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>

#include "common/file/file.h"
#include "common/version/version.h"
#include "jobs/cli/doctor_checks.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/text.h"

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;

constexpr Duration kConnectDeadline = std::chrono::seconds(3);

// 0, or the errno of the connection.
int Connect(const addrinfo& address) {
  const UniqueFd fd(::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return errno;
  if (::connect(fd.get(), address.ai_addr, address.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  pollfd poll{fd.get(), POLLOUT, 0};
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(kConnectDeadline);
  if (::poll(&poll, 1, static_cast<int>(ms.count())) <= 0) return ETIMEDOUT;
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

// A lock that another process holds; false also when there is no such file.
bool IsLocked(const fs::path& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd && ::flock(fd.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

bool IsAlive(int pid) { return pid > 0 && (::kill(pid, 0) == 0 || errno == EPERM); }

}  // namespace

Check CheckReach(const std::string& host, const std::string& port) {
  const std::string where = host + ":" + port;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (code != 0) {
    return {"network", Health::kProblem, "cannot resolve " + host + ": " + ::gai_strerror(code),
            "give the coordinator's address instead of its name, or add it to /etc/hosts"};
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, ::freeaddrinfo);
  const int error = Connect(*addresses);
  if (error == 0) return {"network", Health::kGood, where + " answers", ""};
  Check check{.name = "network",
              .health = Health::kProblem,
              .message = "cannot reach " + where + ": " + std::strerror(error)};
  if (error == ECONNREFUSED) {
    check.fix = "nothing listens there: is the coordinator up, and on that address? tutti up";
  } else if (error == ETIMEDOUT) {
    check.fix =
        "a firewall drops it, or this is another network namespace: let TCP " + port + " through";
  } else {
    check.fix = "no route from here: ip route get " + host;
  }
  return check;
}

Check CheckLeftovers(const fs::path& data_dir) {
  const auto file = client::ReadEndpointFile(data_dir);
  const bool locked = IsLocked(data_dir / "supervisor.lock");
  const auto holder = client::SupervisorOf(data_dir);
  if (locked && holder && !IsAlive(*holder)) {
    return {
        "leftovers", Health::kProblem,
        "supervisor.lock is held, but not by pid " + std::to_string(*holder) + ", which is gone",
        "a child of it lives on; end it: fuser " + (data_dir / "supervisor.lock").string()};
  }
  if (file && !locked && !IsAlive(file->coordinator_pid)) {
    return {"leftovers", Health::kNote,
            "endpoint.json is of a cluster that was killed (pid " + std::to_string(file->pid) + ")",
            "`tutti up` writes a new one; or remove " + (data_dir / "endpoint.json").string()};
  }
  return {"leftovers", Health::kGood,
          locked ? "none; pid " + std::to_string(holder.value_or(0)) + " supervises" : "none", ""};
}

Check CheckCoordinator(Context& context) {
  const auto at = context.client.endpoint();
  if (!at) {
    const bool away = at.error().code == ErrorCode::kUnavailable && !context.client.MayReturn();
    return {"coordinator", away ? Health::kNote : Health::kProblem, at.error().message,
            at.error().hint};
  }
  const auto cluster = context.client.Get("/api/v1/cluster", {.timeout = std::chrono::seconds(5)});
  if (!cluster) {
    const Error& error = cluster.error().front();
    return {"coordinator", Health::kProblem, error.ToString(), error.hint};
  }
  const std::string version = TextAt(*cluster, "/version");
  Check check{.name = "coordinator", .message = at->url.ToString() + ", version " + version};
  if (At(*cluster, "/read_only") == nlohmann::json(true)) {
    check.health = Health::kProblem;
    check.message += ", read-only: its store cannot be written";
    check.fix = "make room on its disk; it recovers by itself";
  } else if (version != Version()) {
    check.health = Health::kProblem;
    check.message += "; this `tutti` is " + std::string(Version());
    check.fix = "install the same version here and there";
  }
  return check;
}

Check CheckWorkers(Context& context) {
  const auto workers = context.client.Get("/api/v1/workers", {.timeout = std::chrono::seconds(5)});
  if (!workers) return {"workers", Health::kProblem, workers.error().front().ToString(), ""};
  int up = 0;
  std::string lost, other, crowded, draining;
  const auto add = [](std::string& list, const std::string& name) {
    list += (list.empty() ? "" : ", ") + name;
  };
  for (const nlohmann::json& worker : ListAt(*workers, "/data")) {
    const std::string state = TextAt(worker, "/state");
    const std::string name = OneLine(TextAt(worker, "/name"));
    if (state == "lost") add(lost, name);
    if (state != "up") continue;
    ++up;
    const std::string version = TextAt(worker, "/version");
    if (!version.empty() && version != Version()) add(other, name + " (" + version + ")");
    if (At(worker, "/draining") == nlohmann::json(true)) add(draining, name);
    const auto slots = IntAt(worker, "/slots");
    const auto cores = IntAt(worker, "/cores");
    if (slots && cores && *cores > 0 && *slots > *cores) {
      add(crowded, name + " (" + std::to_string(*slots) + " on " + std::to_string(*cores) + ")");
    }
  }
  Check check{.name = "workers", .message = std::to_string(up) + " up"};
  if (!lost.empty()) check.message += ", lost: " + lost;
  if (!draining.empty()) check.message += ", draining: " + draining;
  if (!other.empty()) check.message += ", of another version: " + other;
  if (!crowded.empty()) check.message += ", more slots than cores: " + crowded;
  if (up == 0 || !lost.empty()) {
    check.health = Health::kProblem;
    check.fix =
        "their logs lie in the data directory's logs/; `tutti down` and `tutti up` start anew";
  } else if (!other.empty()) {
    check.health = Health::kProblem;
    check.fix = "install the same version on every machine";
  } else if (!crowded.empty() || !draining.empty()) {
    check.health = Health::kNote;
    check.fix = crowded.empty() ? "tutti worker undrain NAME lets them take jobs again"
                                : "fewer slots a worker (--slots-per-worker) are faster";
  }
  return check;
}

}  // namespace tutti::cli
