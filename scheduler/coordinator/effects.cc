#include "scheduler/coordinator/effects.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/log.h"
#include "jobs/spec/parse.h"
#include "scheduler/coordinator/inspection.h"
#include "scheduler/coordinator/wire_inputs.h"

namespace tutti::coordinator {

using nlohmann::json;

void Effects::Perform(const core::Effect& effect, const View& view) {
  std::visit([&](const auto& each) { Do(each, view); }, effect);
}

// A message to a worker that is not connected is dropped: the scheduler repeats it.

void Effects::Do(const core::LaunchGang& effect, const View& view) {
  auto launch = WriteLaunch(view.state->ledger, effect, [this](NodeId node) {
    const Session* session = workers_.Of(node);
    return session == nullptr ? std::string() : session->address;
  });
  if (!launch) return;
  Log(kInfo, "gang_launched",
      {{"job", effect.job.ToString()},
       {"attempt", Number(effect.attempt)},
       {"ranks", launch->size()}});
  wire::ToWorker message;
  *message.mutable_launch_gang() = std::move(*launch);
  workers_.Send(effect.node, std::move(message));
}

void Effects::Do(const core::StopGang& effect, const View&) {
  wire::ToWorker message;
  *message.mutable_stop_gang() = WriteStop(effect);
  workers_.Send(effect.node, std::move(message));
}

void Effects::Do(const core::CheckpointGang& effect, const View&) {
  wire::ToWorker message;
  message.mutable_checkpoint_gang()->set_job(effect.job.ToString());
  message.mutable_checkpoint_gang()->set_attempt(Number(effect.attempt));
  workers_.Send(effect.node, std::move(message));
}

void Effects::Do(const core::InspectJob& effect, const View& view) {
  const core::Job* job = core::FindJob(view.state->ledger, effect.job);
  if (job == nullptr) return;
  const auto answer = [id = effect.job](Round& round, const Result<json>& result) {
    core::InspectFinished input = ReadInspection(id, result);
    // In a loop that cannot write the job stays as it is and is inspected again.
    if (!round.Step(input)) round.Observe(core::InspectAnswered{.job = id, .failed = true});
  };
  const json parsed = json::parse(job->spec_json, nullptr, false);
  auto spec = spec::FromJson(parsed);
  if (!spec) {
    // It was readable when it was submitted: another version wrote it.
    loop_.Do([answer, error = spec.error().front()](Round& round) { answer(round, Fail(error)); });
    return;
  }
  workers_.tools().Start(InspectCall(*spec), effect.node, MonotonicNow(), answer);
}

void Effects::Do(const core::RegisterModel& effect, const View& view) {
  if (const core::Job* job = core::FindJob(view.state->ledger, effect.job)) models_.Add(*job);
}

}  // namespace tutti::coordinator
