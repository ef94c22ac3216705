// The cluster itself: up, down, its queues, its programs.
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/base/host.h"
#include "common/file/file.h"
#include "common/version/version.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/exit_codes.h"
#include "jobs/cli/json_fields.h"
#include "jobs/cli/table.h"
#include "jobs/cli/text.h"
#include "jobs/supervisor/up.h"

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr Duration kUpDeadline = std::chrono::seconds(30);
constexpr Duration kDownDeadline = std::chrono::seconds(35);

Result<supervisor::UpOptions> OptionsOf(Context& context, const UpCommand& options) {
  supervisor::UpOptions up{.bin_dir = context.bin_dir,
                           .workers = options.workers,
                           .slots_per_worker = options.slots_per_worker};
  TUTTI_ASSIGN_OR_RETURN(up.data_dir, client::DataDirOf(context.endpoint, context.env));
  TUTTI_ASSIGN_OR_RETURN(up.http, supervisor::ParseHostPort(options.http));
  if (!options.zmq.empty()) {
    TUTTI_ASSIGN_OR_RETURN(up.zmq, supervisor::ParseHostPort(options.zmq, "--zmq"));
  }
  up.tls = options.tls;
  up.advertise = options.advertise;
  up.webhooks_to = options.webhooks_to;
  std::error_code error;
  if (!options.tls_cert.empty()) up.tls_cert = fs::absolute(options.tls_cert, error);
  if (!options.tls_key.empty()) up.tls_key = fs::absolute(options.tls_key, error);
  return up;
}

using Fields = std::vector<std::pair<std::string, std::string>>;

// What people on other machines need, when the cluster serves them.
void AddReach(const supervisor::UpOptions& up, const std::string& url, Fields& fields) {
  const auto endpoint = client::ReadEndpointFile(up.data_dir);
  if (!endpoint || endpoint->pin.empty()) return;
  const std::string others =
      "https://" + Bracketed(endpoint->advertise) + url.substr(url.rfind(':'));
  if (others != url) fields.emplace_back("elsewhere", others);
  fields.emplace_back("pin", endpoint->pin);
}

std::string UpText(const supervisor::UpOptions& up, const std::string& url, bool color) {
  std::string workers;
  const int slots = supervisor::SlotsPerWorker(up, supervisor::Cores());
  for (const std::string& name : supervisor::WorkerNames(supervisor::HostName(), up.workers)) {
    workers += (workers.empty() ? "" : ", ") + name + " (" + std::to_string(slots) +
               (slots == 1 ? " slot)" : " slots)");
  }
  Fields fields = {{"coordinator", url}};
  AddReach(up, url, fields);
  fields.emplace_back("workers", workers);
  fields.emplace_back("data", up.data_dir.string());
  fields.emplace_back("logs", (up.data_dir / "logs").string());
  return RenderFields(fields, color);
}

int UpInForeground(Context& context, const supervisor::UpOptions& up) {
  // The supervisor's log takes descriptor 2; people are still told on what it was.
  const UniqueFd people(::dup(STDERR_FILENO));
  const bool color = context.console.err_color();
  const auto say = [&](const std::string& line) {
    std::string text = line + "\n";
    if (line.starts_with("ready: ")) {
      text = UpText(up, line.substr(7), color) + "Ctrl-C stops it; jobs checkpoint first.\n";
    }
    [[maybe_unused]] const Status told =
        WriteAll(people.get(), std::as_bytes(std::span(text)), "stderr");
  };
  const Status status = supervisor::UpHere(up, say);
  ::dup2(people.get(), STDERR_FILENO);
  if (!status) {
    context.console.Complain(status.error());
    return status.error().code == ErrorCode::kConflict ? kUsage : kJobFailed;
  }
  context.console.Note("stopped");
  return kOk;
}

}  // namespace

int UpCluster(Context& context, const UpCommand& options) {
  Console& console = context.console;
  const auto up = OptionsOf(context, options);
  if (!up) {
    console.Complain(up.error());
    return kUsage;
  }
  if (!options.detach) return UpInForeground(context, *up);
  const auto url = supervisor::UpDetached(
      *up, [&console](const std::string& line) { console.Note(line); }, kUpDeadline);
  if (!url) {
    console.Complain(url.error());
    return url.error().code == ErrorCode::kConflict || url.error().code == ErrorCode::kInvalid
               ? kUsage
               : kJobFailed;
  }
  if (console.json()) {
    const auto text = ReadFile(up->data_dir / "endpoint.json", Bytes{1 << 16});
    const json endpoint = text ? json::parse(*text, nullptr, false) : json();
    console.OutJson(endpoint.is_object() ? endpoint : json{{"url", *url}});
  } else if (console.quiet()) {
    console.Out(*url);
  } else {
    console.OutRaw(UpText(*up, *url, console.out_color()));
    console.Note("stop it with: tutti down");
  }
  return kOk;
}

int DownCluster(Context& context) {
  Console& console = context.console;
  const auto data_dir = client::DataDirOf(context.endpoint, context.env);
  if (!data_dir) {
    console.Complain(data_dir.error());
    return kUsage;
  }
  if (!console.json() && client::SupervisorOf(*data_dir)) {
    console.Note("stopping; running jobs checkpoint first");
  }
  const auto pid = supervisor::Down(*data_dir, kDownDeadline);
  if (!pid) return context.console.Complain(pid.error());
  if (console.json()) {
    console.OutJson({{"data_dir", data_dir->string()}, {"pid", *pid == 0 ? json() : json(*pid)}});
  } else {
    console.Note(*pid == 0 ? "no cluster runs in " + data_dir->string() : "stopped");
  }
  return kOk;
}

int ExecSibling(Context& context, const std::string& program,
                const std::vector<std::string>& args) {
  const fs::path path = context.bin_dir / program;
  std::vector<std::string> words = {path.string()};
  words.insert(words.end(), args.begin(), args.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execv(path.c_str(), argv.data());
  context.console.Complain(Error{ErrorCode::kIo,
                                 std::string("cannot run it: ") + std::strerror(errno),
                                 path.string(), "the programs of one build lie in one folder"});
  return kUsage;
}

int WhatIf(Context& context, std::vector<std::string> args) {
  const auto workload = context.client.Get("/api/v1/workload");
  if (!workload) return context.console.Complain(workload.error());
  if (ListAt(*workload, "/jobs").empty()) {
    context.console.Complain(
        Error{ErrorCode::kConflict,
              "no job of this cluster has run yet: there is nothing to replay",
              {},
              "a recorded trace can be: tutti simulate trace PATH --policy fair"});
    return kUsage;
  }
  const std::string text = workload->dump();
  // Not closed on exec: the program reads it there. It goes with the process.
  const int memory = ::memfd_create("workload", 0);
  const Status written = memory < 0 ? Fail(ErrnoError("cannot create", "memfd", errno))
                                    : WriteAll(memory, std::as_bytes(std::span(text)), "memfd");
  if (!written) {
    context.console.Complain(written.error());
    return kUsage;
  }
  args.insert(args.end(), {"--workload", "/proc/self/fd/" + std::to_string(memory)});
  return ExecSibling(context, "tutti-simulate", args);
}

int PrintVersion(Context& context) {
  if (context.console.json()) {
    context.console.OutJson({{"version", Version()}, {"revision", Revision()}});
  } else {
    context.console.Out("tutti " + std::string(Version()) + " (" + std::string(Revision()) + ")");
  }
  return kOk;
}

}  // namespace tutti::cli
