// Any bytes as a frame of the wire. After a 'c' the coordinator reads them as a worker's, after a
// 'w' a worker reads them as the coordinator's: nothing, or a message of bounded size in memory
// whose parts are bounded too.

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/check.h"
#include "common/wire/frame.h"
#include "common/wire/messages.pb.h"
#include "scheduler/coordinator/wire_inputs.h"
#include "scheduler/coordinator/worker_frame.h"
#include "tests/fuzz/fuzz_target.h"

namespace tutti::coordinator {
namespace {

constexpr std::size_t kTextMax = 8192 + 8;

void CheckText(const std::string& text) {
  TUTTI_CHECK(text.size() <= kTextMax, text.size(), " bytes of text");
}

void CheckReport(const wire::GangReport& report) {
  const NodeId node(1);
  const JobId job(2);
  ReadStarted(report, node, job);
  CheckText(ReadCheckpoint(report, node, job).path);
  CheckText(ReadCheckpoint(report, node, job).state_digest);
  const core::ReportEnded ended = ReadEnded(report, node, job);
  CheckText(ended.message);
  CheckText(ended.metrics_json);
  TUTTI_CHECK(ended.files.size() <= 10'000, ended.files.size(), " files");
}

void CheckRegister(const wire::Register& message, std::uint64_t session) {
  const auto input = ReadRegister(message, session, NodeId(3));
  if (!input) {
    CheckText(input.error().ToString());
    return;
  }
  TUTTI_CHECK(!input->name.empty() && input->name.size() <= 63, "name '", input->name, "'");
  CheckText(input->version);
  CheckText(input->cpu_model);
  CheckText(input->numerics_fingerprint);
}

void RunCoordinator(std::string_view frame) {
  const auto message = ParseWorkerFrame(frame);
  if (!message) return;
  const std::size_t most = (std::size_t{64} << 20) + 16 * frame.size();
  TUTTI_CHECK(message->SpaceUsedLong() <= most, message->SpaceUsedLong(), " bytes of ",
              frame.size());
  TUTTI_CHECK(ParseWorkerFrame(message->SerializeAsString()).has_value(), "no message any more");
  CheckRegister(message->register_(), message->session());
  CheckReport(message->gang_report());
  const auto seen = ReadGangs(message->heartbeat().gangs());
  TUTTI_CHECK(seen.size() <= frame.size(), seen.size(), " gangs");
}

void RunWorker(std::string_view frame) {
  const auto message = wire::ParseFrame<wire::ToWorker>(frame);
  if (!message) return;
  const auto again = wire::ParseFrame<wire::ToWorker>(message->SerializeAsString());
  TUTTI_CHECK(again && again->body_case() == message->body_case(), "another message");
}

}  // namespace
}  // namespace tutti::coordinator

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view frame(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 'c') tutti::coordinator::RunCoordinator(frame);
  if (data[0] == 'w') tutti::coordinator::RunWorker(frame);
  return 0;
}
