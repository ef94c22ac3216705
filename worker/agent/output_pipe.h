// The reading end of a pipe that a child writes its output to.
//
// Owned by a gang or a tool, on the loop's thread. The callback may not destroy the pipe.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "common/base/result.h"
#include "common/file/file.h"
#include "worker/agent/loop.h"

namespace tutti::agent {

class OutputPipe {
 public:
  using OnData = std::function<void(std::string_view data)>;

  // `theirs` is for the child.
  static Result<std::unique_ptr<OutputPipe>> Create(Loop& loop, UniqueFd& theirs, OnData on_data);
  ~OutputPipe();
  OutputPipe(const OutputPipe&) = delete;
  OutputPipe& operator=(const OutputPipe&) = delete;

  // Reads what is there now: before the child's end is handled.
  void Drain();

 private:
  OutputPipe(Loop& loop, UniqueFd fd, OnData on_data);
  void Read(std::size_t max_bytes);

  Loop& loop_;
  UniqueFd fd_;
  OnData on_data_;
};

}  // namespace tutti::agent
