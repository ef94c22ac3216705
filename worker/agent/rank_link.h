// The worker's end of the socket to one rank: whole lines out and in.
//
// Owned by its gang, on the loop's thread. Writing never blocks: what the rank does not take yet is
// kept. The callbacks may not destroy the link.
#pragma once

#include <functional>
#include <string>

#include "common/base/result.h"
#include "common/enginelink/messages.h"
#include "common/file/file.h"
#include "worker/agent/loop.h"

namespace tutti::agent {

class RankLink {
 public:
  using OnLine = std::function<void(std::string line)>;
  using OnError = std::function<void(const Error&)>;  // the rank talks nonsense; then silence

  // Makes a socket pair; `theirs` is for the rank.
  static Result<std::unique_ptr<RankLink>> Create(Loop& loop, UniqueFd& theirs, OnLine on_line,
                                                  OnError on_error);
  ~RankLink();
  RankLink(const RankLink&) = delete;
  RankLink& operator=(const RankLink&) = delete;

  void Send(const enginelink::ToEngine& message);
  // Reads what is there now: before the rank's end is handled.
  void Drain();

 private:
  RankLink(Loop& loop, UniqueFd fd, OnLine on_line, OnError on_error);
  void OnReady(std::uint32_t events);
  void Read(std::size_t max_bytes);
  void Write();
  void Close();

  Loop& loop_;
  UniqueFd fd_;
  OnLine on_line_;
  OnError on_error_;
  enginelink::LineBuffer lines_;
  std::string unsent_;
  bool writing_ = false;  // EPOLLOUT is asked for
};

}  // namespace tutti::agent
