// Tools: engine commands on workers, outside the slots: inspect, try, eval. Each has one deadline;
// when a worker goes away or fails, another is asked.
//
// Of the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/wire/messages.pb.h"
#include "scheduler/coordinator/loop.h"

namespace tutti::coordinator {

struct ToolCall {
  std::string tool;                    // "inspect", "try", "eval"
  nlohmann::json request;              // paths below the tool's folder, or absolute ones
  std::vector<core::ModelFile> files;  // to place there first, of blobs
  Duration deadline = std::chrono::minutes(10);
  // Hears what the tool says before its answer, on the loop's thread. Pieces may be missing; the
  // answer has all of it. Once one was heard the call is asked of no other worker.
  std::function<void(const nlohmann::json& piece)> on_piece = nullptr;
};
// The tool's answer, or its error as it said it; kUnavailable, kTimeout when none came.
using ToolDone = std::function<void(Round&, const Result<nlohmann::json>&)>;

class Tools {
 public:
  struct Hands {
    std::function<std::vector<NodeId>()> connected;
    std::function<bool(NodeId, wire::ToWorker)> send;  // false: not connected
  };
  // `first_id`: above those of earlier lives, whose answers may still come.
  Tools(Hands hands, std::uint64_t first_id) : hands_(std::move(hands)), last_id_(first_id) {}

  // `on`: that worker alone; else any. `done` runs exactly once, in a later round, unless the call
  // is cancelled. Returns the call's number.
  std::uint64_t Start(ToolCall call, std::optional<NodeId> on, Instant now, ToolDone done);
  // Nobody waits for it any more.
  void Cancel(std::uint64_t id);
  void Hear(NodeId from, const wire::ToolOutput& output);
  void Answer(Round& round, NodeId from, const wire::ToolResult& result);
  // Its session ended: what ran there is asked of another worker, or has failed.
  void WorkerGone(NodeId node);
  // Deadlines, and what could not be sent. At least once a round.
  void Tick(Round& round);

 private:
  struct Pending {
    ToolCall call;
    std::optional<NodeId> only;
    std::optional<NodeId> node;  // that runs it; none = to be sent
    std::vector<NodeId> failed;  // those that could not
    Instant deadline;
    Error last_error;
    ToolDone done;
    std::uint64_t heard = 0;  // ToolOutputs
    bool whole = true;        // none is missing
  };

  bool MayAskAnother(const Pending& pending) const;
  std::optional<NodeId> Choose(const Pending& pending) const;
  void Send(std::uint64_t id, Pending& pending, Instant now);
  void Finish(Round& round, std::uint64_t id, const Result<nlohmann::json>& result);

  const Hands hands_;
  std::map<std::uint64_t, Pending> pending_;
  std::uint64_t last_id_;
};

// What a ToolResult says: the answer, or the tool's own error.
Result<nlohmann::json> ReadToolResult(const wire::ToolResult& result);

}  // namespace tutti::coordinator
