// A coordinator for tests of the worker program: the wire's other end (ROUTER, CURVE), which
// records what it hears and answers as a test wants. One thread: everything happens in Until.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/time.h"
#include "common/wire/messages.pb.h"

namespace tutti::agent {

class FakeCoordinator {
 public:
  // Writes its public key to `key_file` and listens on 127.0.0.1, any port.
  FakeCoordinator(const std::filesystem::path& key_file, std::string http_url);
  ~FakeCoordinator();

  const std::string& address() const { return address_; }

  // Handles messages until `condition` holds (true) or 20 s are over (false).
  bool Until(const std::function<bool()>& condition);
  void Send(wire::ToWorker message);  // to the worker heard last; session and generation filled in
  // The same port and key, one generation on, knowing nobody.
  void Restart();

  std::uint32_t lease_ms = 5000;
  std::uint64_t log_window_bytes = 256 << 10;
  bool silent = false;      // hears and answers nothing; the line stays
  bool acknowledge = true;  // reports
  std::string refuse_with;  // answers Register with Refused

  std::vector<wire::Register> registers;
  std::vector<wire::GangReport> reports;  // each once
  int report_repeats = 0;
  wire::Heartbeat heartbeat;  // the newest
  int heartbeats = 0;
  std::vector<std::string> progress;          // payloads
  std::map<std::uint32_t, std::string> logs;  // by rank, of all attempts in a row
  std::vector<wire::ToolResult> tool_results;
  std::vector<wire::ToolOutput> tool_outputs;
  int goodbyes = 0;

  // Of the newest heartbeat; empty when it lists no such gang.
  std::vector<int> RankPids(const std::string& job, std::uint32_t attempt) const;
  bool Lists(const std::string& job, std::uint32_t attempt) const;
  // What the tool of that request said before its answer, up to the first message that is missing.
  std::string Said(std::uint64_t request) const;
  // The last GangEnded about the attempt; nullptr when there was none.
  const wire::GangEnded* Ended(const std::string& job, std::uint32_t attempt) const;

 private:
  void Open();
  void Close();
  void Handle(const wire::ToCoordinator& message);
  void HandleLog(const wire::LogChunk& chunk);

  std::string http_url_;
  std::string secret_;
  std::string address_;
  void* context_ = nullptr;
  void* socket_ = nullptr;
  std::string identity_;  // of the worker heard last
  std::uint64_t session_ = 0;
  std::uint64_t generation_ = 1;
  std::set<std::uint64_t> known_;  // sessions registered with this generation
  std::set<std::uint64_t> seen_reports_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> log_ends_;  // attempt, rank
};

}  // namespace tutti::agent
