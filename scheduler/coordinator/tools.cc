#include "scheduler/coordinator/tools.h"

#include <algorithm>
#include <array>
#include <utility>

namespace tutti::coordinator {
namespace {

using nlohmann::json;

constexpr std::size_t kTriesMax = 3;       // workers asked for one call
constexpr std::size_t kAtOncePerNode = 4;  // calls a worker is given at a time

ErrorCode CodeFrom(std::string_view text) {
  constexpr std::array kCodes = {
      ErrorCode::kInvalid, ErrorCode::kUnsupported, ErrorCode::kNotFound, ErrorCode::kConflict,
      ErrorCode::kAuth,    ErrorCode::kQuota,       ErrorCode::kTooLarge, ErrorCode::kUnavailable,
      ErrorCode::kTimeout, ErrorCode::kDiskFull,    ErrorCode::kIo,       ErrorCode::kInternal};
  for (const ErrorCode code : kCodes) {
    if (ToString(code) == text) return code;
  }
  return ErrorCode::kInternal;
}

std::string Member(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// Errors that say something about the worker, not about the input.
bool WorthAnotherWorker(ErrorCode code) {
  return code == ErrorCode::kUnavailable || code == ErrorCode::kIo ||
         code == ErrorCode::kInternal || code == ErrorCode::kDiskFull;
}

}  // namespace

Result<json> ReadToolResult(const wire::ToolResult& result) {
  json answer = json::parse(result.json(), nullptr, false);
  if (!answer.is_object()) {
    return Fail(ErrorCode::kInternal, "the worker's tool did not answer with a JSON object");
  }
  if (result.ok()) return answer;
  const auto inner = answer.find("error");
  const json& error = inner != answer.end() && inner->is_object() ? *inner : answer;
  std::string message = Member(error, "message");
  if (message.empty()) message = "the tool failed without saying why";
  return Fail(CodeFrom(Member(error, "code")), std::move(message), Member(error, "where"),
              Member(error, "hint"));
}

std::uint64_t Tools::Start(ToolCall call, std::optional<NodeId> on, Instant now, ToolDone done) {
  const std::uint64_t id = ++last_id_;
  Pending pending{
      .call = std::move(call),
      .only = on,
      .node = std::nullopt,
      .failed = {},
      .deadline = {},
      .last_error = {ErrorCode::kUnavailable, "no worker is connected", {}, "start one: tutti up"},
      .done = std::move(done)};
  pending.deadline = now + pending.call.deadline;
  Pending& kept = pending_.emplace(id, std::move(pending)).first->second;
  Send(id, kept, now);
  return id;
}

void Tools::Cancel(std::uint64_t id) {
  const auto found = pending_.find(id);
  if (found == pending_.end()) return;
  if (found->second.node) {
    wire::ToWorker message;
    message.mutable_cancel_tool()->set_request_id(id);
    hands_.send(*found->second.node, std::move(message));
  }
  pending_.erase(found);
}

// After a gap nothing more is passed on: what follows would be read as if nothing were missing.
void Tools::Hear(NodeId from, const wire::ToolOutput& output) {
  const auto found = pending_.find(output.request_id());
  if (found == pending_.end() || found->second.node != from) return;
  Pending& pending = found->second;
  if (!pending.call.on_piece || !pending.whole) return;
  pending.whole = output.sequence() == pending.heard + 1;
  if (!pending.whole) return;
  ++pending.heard;
  for (const std::string& text : output.json()) {
    const json piece = json::parse(text, nullptr, false);
    if (piece.is_object()) pending.call.on_piece(piece);
  }
}

bool Tools::MayAskAnother(const Pending& pending) const {
  return pending.heard == 0 && pending.failed.size() < kTriesMax;
}

// The worker with the fewest calls, among those that have not failed this one.
std::optional<NodeId> Tools::Choose(const Pending& pending) const {
  std::optional<NodeId> best;
  std::size_t fewest = kAtOncePerNode;
  for (const NodeId node : hands_.connected()) {
    if (pending.only && *pending.only != node) continue;
    if (std::count(pending.failed.begin(), pending.failed.end(), node) > 0) continue;
    const auto busy = static_cast<std::size_t>(
        std::count_if(pending_.begin(), pending_.end(),
                      [&](const auto& entry) { return entry.second.node == node; }));
    if (busy >= fewest) continue;
    best = node;
    fewest = busy;
  }
  return best;
}

void Tools::Send(std::uint64_t id, Pending& pending, Instant now) {
  const auto node = Choose(pending);
  if (!node) return;
  wire::ToWorker message;
  auto* run = message.mutable_run_tool();
  run->set_request_id(id);
  run->set_tool(pending.call.tool);
  run->set_request_json(pending.call.request.dump());
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(pending.deadline - now);
  run->set_stream(pending.call.on_piece != nullptr);
  run->set_deadline_ms(static_cast<std::uint32_t>(std::max<std::int64_t>(1, left.count())));
  for (const core::ModelFile& file : pending.call.files) {
    auto* out = run->add_files();
    out->set_path(file.path);
    out->set_digest(file.digest);
    out->set_size_bytes(file.size_bytes);
  }
  if (hands_.send(*node, std::move(message))) pending.node = *node;
}

void Tools::Answer(Round& round, NodeId from, const wire::ToolResult& result) {
  const auto found = pending_.find(result.request_id());
  if (found == pending_.end() || found->second.node != from) return;  // asked elsewhere since
  Pending& pending = found->second;
  Result<json> answer = ReadToolResult(result);
  if (!answer && WorthAnotherWorker(answer.error().code)) {
    pending.failed.push_back(from);
    pending.node.reset();
    pending.last_error = answer.error();
    if (MayAskAnother(pending)) Send(result.request_id(), pending, round.now());
    if (pending.node) return;
  }
  Finish(round, result.request_id(), answer);
}

void Tools::WorkerGone(NodeId node) {
  for (auto& [id, pending] : pending_) {
    if (pending.node != node) continue;
    pending.node.reset();
    pending.failed.push_back(node);
    pending.last_error = {ErrorCode::kUnavailable,
                          "the worker that ran '" + pending.call.tool + "' went away",
                          {},
                          "try again"};
  }
}

void Tools::Tick(Round& round) {
  std::vector<std::pair<std::uint64_t, Error>> over;
  const std::vector<NodeId> connected = hands_.connected();
  for (auto& [id, pending] : pending_) {
    if (round.now() >= pending.deadline) {
      over.emplace_back(id, Error{ErrorCode::kTimeout,
                                  "'" + pending.call.tool + "' did not answer within " +
                                      FormatDuration(pending.call.deadline),
                                  {},
                                  "try again"});
      continue;
    }
    if (pending.node) continue;
    if (pending.heard == 0) Send(id, pending, round.now());
    if (pending.node) continue;
    // A busy worker becomes free; one that failed or is not there does not help.
    const bool hope =
        MayAskAnother(pending) && std::any_of(connected.begin(), connected.end(), [&](NodeId node) {
          return (!pending.only || *pending.only == node) &&
                 std::count(pending.failed.begin(), pending.failed.end(), node) == 0;
        });
    if (!hope) over.emplace_back(id, pending.last_error);
  }
  for (auto& [id, error] : over) Finish(round, id, Fail(std::move(error)));
}

void Tools::Finish(Round& round, std::uint64_t id, const Result<json>& result) {
  const auto found = pending_.find(id);
  const ToolDone done = std::move(found->second.done);
  pending_.erase(found);
  done(round, result);
}

}  // namespace tutti::coordinator
