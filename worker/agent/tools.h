// Tools of the engine (inspect, try, eval, checkpoints) run for the coordinator beside the gangs:
// in children of the zygote, outside the slots, with low priority, one inspect at a time.
//
// Owned by the agent, on its loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "common/wire/messages.pb.h"
#include "worker/agent/background.h"
#include "worker/agent/blob_cache.h"
#include "worker/agent/children.h"
#include "worker/agent/output_pipe.h"
#include "worker/agent/remote_blobs.h"
#include "worker/agent/settings.h"
#include "worker/agent/tool_request.h"

namespace tutti::agent {

// What tools work with. Everything outlives them.
struct ToolServices {
  Loop& loop;
  Children& children;
  Background& background;
  const BlobCache& cache;
  const RemoteBlobs& remote;
  const Settings& settings;
  std::function<bool(const wire::ToolResult&)> send;
  std::function<void(const wire::ToolOutput&)> tell;  // may be lost
  std::uint32_t threads = 1;                          // of try and eval
};

class Tools {
 public:
  explicit Tools(ToolServices services) : services_(std::move(services)) {}
  ~Tools();

  // `generation` of the coordinator that asks: what an earlier one asked for is cancelled. Asked
  // again, a request that runs is left alone and one that was answered is answered again.
  void Run(std::uint64_t generation, const wire::RunTool& request);
  // What nobody waits for any more.
  void Cancel(std::uint64_t generation, std::uint64_t request_id);
  void Tick(Instant now);  // deadlines
  void CancelAll();

  bool empty() const { return runs_.empty(); }

 private:
  enum class Stage { kQueued, kFetching, kRunning, kLeaving };
  struct ToolRun {
    wire::RunTool request;
    std::uint64_t generation = 0;  // of who asked
    std::uint64_t serial = 0;
    Instant deadline;
    Stage stage = Stage::kQueued;
    std::stop_source stop;
    std::shared_ptr<PinnedFiles> pinned = std::make_shared<PinnedFiles>();
    std::optional<Children::Id> child;
    std::unique_ptr<OutputPipe> out_pipe;
    std::unique_ptr<OutputPipe> error_pipe;
    std::string out;
    std::uint64_t told = 0;             // ToolOutputs
    std::string errors;                 // the last of stderr
    std::optional<ToolAnswer> verdict;  // why it is being killed
  };

  std::filesystem::path FolderOf(const ToolRun& run) const;
  bool HasRoomFor(const ToolRun& run) const;
  void StartNext();
  void Fetch(ToolRun& run);
  void Spawn(ToolRun& run);
  Status SpawnChild(ToolRun& run);
  // Of a tool that streams: what it says before its answer.
  void TellPieces(ToolRun& run);
  void OnExited(ToolRun& run, const Children::Exit& exit);
  // Gives up on it, whatever it does now.
  void Cancel(ToolRun& run, ToolAnswer answer);
  void Answer(ToolRun& run, ToolAnswer answer);
  void Leave(ToolRun& run);
  void Remember(const wire::ToolResult& result);

  ToolServices services_;
  std::uint64_t generation_ = 0;
  std::uint64_t last_serial_ = 0;
  std::list<std::unique_ptr<ToolRun>> runs_;  // in the order they were asked for
  std::list<wire::ToolResult> answered_;      // the newest first
};

}  // namespace tutti::agent
