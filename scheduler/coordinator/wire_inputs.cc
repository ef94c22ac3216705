#include "scheduler/coordinator/wire_inputs.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "common/base/check.h"
#include "common/digest/sha256.h"
#include "common/version/version.h"
#include "common/wire/protocol.h"
#include "jobs/spec/name.h"
#include "jobs/spec/states.h"

namespace tutti::coordinator {
namespace {

using internal::Concat;
using nlohmann::json;

constexpr std::size_t kToldMax = 8192;  // of a message for people
constexpr std::size_t kWorkerNameMax = 63;
constexpr int kFilesMax = 10'000;                 // of a model
constexpr std::size_t kLabelsReadMax = 64;        // of a worker
constexpr int kStallsMax = 16;                    // of a gang, told by one worker
constexpr std::string_view kReserved = "enroll";  // a route

// At most kToldMax bytes, cut at a character of UTF-8.
std::string Bounded(const std::string& text) {
  if (text.size() <= kToldMax) return text;
  std::size_t end = kToldMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + "…";
}

// {"accuracy": 0.7, …}: numbers only, else "{}".
std::string MetricsOf(const std::string& text) {
  const json metrics = json::parse(text, nullptr, false);
  if (!metrics.is_object() || text.size() > kToldMax) return "{}";
  json out = json::object();
  for (const auto& [name, value] : metrics.items()) {
    if (value.is_number()) out[name] = value;
  }
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

core::StallSeen ReadStall(const wire::Stall& stall) {
  const double silent = stall.silent_seconds();
  return {.rank = stall.rank(),
          .stopped = stall.stopped(),
          .phase = stall.phase().substr(0, kWorkerNameMax),
          .collective = stall.collective().substr(0, kWorkerNameMax),
          .sequence = stall.sequence(),
          .step = stall.step(),
          .silent_seconds = std::isfinite(silent) && silent >= 0 ? silent : 0,
          .message = Bounded(stall.message())};
}

std::string DigestOrNone(const std::string& text) { return Digest::Parse(text) ? text : ""; }

core::GangOutcome OutcomeOf(wire::GangEnded::Outcome outcome) {
  if (outcome == wire::GangEnded::SUCCEEDED) return core::GangOutcome::kSucceeded;
  if (outcome == wire::GangEnded::RELEASED) return core::GangOutcome::kReleased;
  if (outcome == wire::GangEnded::KILLED) return core::GangOutcome::kKilled;
  return core::GangOutcome::kFailed;
}

// "A, B": each once.
std::string GpuModels(const wire::Resources& resources) {
  std::set<std::string> known;
  std::string text;
  for (const wire::Gpu& gpu : resources.gpus()) {
    if (known.insert(gpu.name()).second) text += (text.empty() ? "" : ", ") + gpu.name();
  }
  return Bounded(text);
}

}  // namespace

bool IsWorkerName(const std::string& name) {
  const auto plain = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
  };
  return !name.empty() && name != kReserved && name.size() <= kWorkerNameMax &&
         std::isalnum(static_cast<unsigned char>(name[0])) != 0 &&
         std::all_of(name.begin(), name.end(), plain);
}

Error NoWorkerName() {
  return {ErrorCode::kInvalid,
          "a worker's name is 1 to 63 of A-Z a-z 0-9 . _ -, starting with a letter or digit",
          "name"};
}

Result<core::RegisterNode> ReadRegister(const wire::Register& message, std::uint64_t session,
                                        NodeId fresh) {
  if (message.protocol() != wire::kProtocol) {
    return Fail(ErrorCode::kInvalid,
                Concat("this worker is Tutti ", message.version(), " and speaks protocol ",
                       message.protocol(), "; the coordinator is Tutti ", Version(),
                       " and speaks protocol ", wire::kProtocol),
                {}, "install the same version on both machines");
  }
  if (!IsWorkerName(message.name())) return Fail(NoWorkerName());
  core::RegisterNode input;
  input.node = fresh;
  input.name = message.name();
  input.session = session;
  input.version = message.version().substr(0, kWorkerNameMax);
  input.slots = message.resources().slots();
  input.cores = message.resources().cores();
  input.memory_bytes = message.resources().memory_bytes();
  input.disk_bytes = message.resources().disk_bytes();
  input.cpu_model = Bounded(message.resources().cpu_model());
  input.numerics_fingerprint = Bounded(message.resources().numerics_fingerprint());
  input.gpus = static_cast<std::uint32_t>(message.resources().gpus_size());
  input.gpu_model = GpuModels(message.resources());
  input.gangs = ReadGangs(message.gangs());
  for (const auto& [name, value] : message.labels()) {
    if (input.labels.size() < kLabelsReadMax && spec::IsName(name))
      input.labels[name] = Bounded(value);
  }
  return input;
}

std::vector<core::GangSeen> ReadGangs(
    const google::protobuf::RepeatedPtrField<wire::GangStatus>& gangs) {
  std::vector<core::GangSeen> seen;
  for (const wire::GangStatus& gang : gangs) {
    const auto job = JobId::Parse(gang.job());
    if (!job) continue;
    core::GangSeen& out = seen.emplace_back(
        core::GangSeen{.job = *job,
                       .attempt = Attempt{gang.attempt()},
                       .stopping = gang.stopping(),
                       .rank_pids = {gang.rank_pids().begin(), gang.rank_pids().end()}});
    for (int i = 0; i < std::min(gang.stalls_size(), kStallsMax); ++i) {
      out.stalls.push_back(ReadStall(gang.stalls(i)));
    }
    for (const std::uint64_t bytes : gang.memory_bytes()) {
      out.memory_bytes = std::max(out.memory_bytes, bytes);
    }
    const auto& times = gang.compute_seconds();
    const bool sane = std::ranges::all_of(
        times, [](double seconds) { return std::isfinite(seconds) && seconds >= 0; });
    if (sane) out.compute_seconds.assign(times.begin(), times.end());
  }
  return seen;
}

core::ReportStarted ReadStarted(const wire::GangReport& report, NodeId node, JobId job) {
  return {node, job, Attempt{report.attempt()}, report.started().from_step()};
}

core::ReportCheckpoint ReadCheckpoint(const wire::GangReport& report, NodeId node, JobId job) {
  const auto& checkpoint = report.checkpoint();
  return {node,
          job,
          Attempt{report.attempt()},
          checkpoint.step(),
          Bounded(checkpoint.path()),
          Bounded(checkpoint.state_digest()),
          checkpoint.size_bytes(),
          {.data_digest = DigestOrNone(checkpoint.data_digest()),
           .manifest_digest = DigestOrNone(checkpoint.manifest_digest()),
           .manifest_size_bytes = checkpoint.manifest_size_bytes()},
          checkpoint.best_step(),
          checkpoint.keep()};
}

core::ReportEnded ReadEnded(const wire::GangReport& report, NodeId node, JobId job) {
  const auto& ended = report.ended();
  core::ReportEnded input;
  input.node = node;
  input.job = job;
  input.attempt = Attempt{report.attempt()};
  input.outcome = OutcomeOf(ended.outcome());
  input.reason = spec::ParseFailureReason(ended.reason()).value_or(spec::FailureReason::kInternal);
  input.message = Bounded(ended.message());
  input.step = ended.step();
  input.memory_peak_bytes = ended.memory_peak_bytes();
  if (input.outcome == core::GangOutcome::kSucceeded) {
    input.model_digest = ended.model().digest();
    for (int i = 0; i < std::min(ended.model().files_size(), kFilesMax); ++i) {
      const wire::File& file = ended.model().files(i);
      input.files.push_back({file.path(), file.digest(), file.size_bytes()});
    }
    input.metrics_json = MetricsOf(ended.metrics_json());
  }
  return input;
}

std::optional<wire::LaunchGang> WriteLaunch(const core::Ledger& ledger,
                                            const core::LaunchGang& effect,
                                            const AddressOf& address_of) {
  const core::Job* job = core::FindJob(ledger, effect.job);
  const core::Gang* gang = job == nullptr ? nullptr : core::ActiveGang(*job);
  if (gang == nullptr || gang->attempt != effect.attempt) return std::nullopt;
  wire::LaunchGang launch;
  launch.set_job(effect.job.ToString());
  launch.set_attempt(Number(effect.attempt));
  launch.set_spec_json(job->spec_json);
  launch.set_size(gang->size);
  bool member_of_it = false;
  for (const core::GangMember& member : gang->members) {
    if (member.node == effect.node) {
      launch.set_first_rank(member.first_rank);
      launch.set_local_ranks(member.ranks);
      member_of_it = true;
    }
    auto* out = launch.add_members();
    out->set_node(member.node.ToString());
    out->set_first_rank(member.first_rank);
    out->set_ranks(member.ranks);
    out->set_name(ledger.nodes.at(member.node).name);
    out->set_address(address_of(member.node));
  }
  if (!member_of_it) return std::nullopt;
  for (auto it = job->checkpoints.rbegin(); it != job->checkpoints.rend(); ++it) {
    auto* out = launch.add_checkpoints();
    out->set_step(it->step);
    out->set_path(it->path);
    out->set_state_digest(it->state_digest);
    out->set_size_bytes(it->size_bytes);
    out->set_data_digest(it->files.data_digest);
    out->set_manifest_digest(it->files.manifest_digest);
    out->set_manifest_size_bytes(it->files.manifest_size_bytes);
  }
  launch.set_resume(!job->checkpoints.empty());
  return launch;
}

wire::StopGang WriteStop(const core::StopGang& effect) {
  wire::StopGang stop;
  stop.set_job(effect.job.ToString());
  stop.set_attempt(Number(effect.attempt));
  stop.set_mode(effect.mode == core::StopMode::kKill ? wire::StopGang::KILL
                                                     : wire::StopGang::CHECKPOINT);
  stop.set_reason(effect.why);
  return stop;
}

}  // namespace tutti::coordinator
