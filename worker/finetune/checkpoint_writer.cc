#include "worker/finetune/checkpoint_writer.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <span>
#include <utility>

namespace tutti::finetune {
namespace {

constexpr int kNice = 10;
constexpr auto kDeadline = std::chrono::minutes(10);

}  // namespace

CheckpointWriter::CheckpointWriter(Options options)
    : options_(std::move(options)), thread_([this] { Run(); }) {}

CheckpointWriter::~CheckpointWriter() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Status CheckpointWriter::Save(const checkpoint::Cursor& cursor,
                              const std::map<std::string, double>& metrics) {
  TUTTI_RETURN_IF_ERROR(Finish());
  // Nobody else writes the weights before this rank enters the next reduction.
  const std::span<float> snapshot = options_.memory.snapshot();
  auto at = snapshot.begin();
  for (const std::span<float> part : {options_.memory.parameters(), options_.memory.first_moments(),
                                      options_.memory.second_moments()}) {
    at = std::ranges::copy(part, at).out;
  }
  {
    const std::lock_guard lock(mutex_);
    request_ = Request{.cursor = cursor, .metrics = metrics};
  }
  changed_.notify_all();
  last_step_ = cursor.step;
  return {};
}

Status CheckpointWriter::Check() {
  const std::lock_guard lock(mutex_);
  return status_;
}

Status CheckpointWriter::Finish() {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, kDeadline, [this] { return !request_; })) {
    return Fail(ErrorCode::kTimeout, "the checkpoint was not written in time",
                options_.directory.string(), "look whether the disk still works");
  }
  return status_;
}

void CheckpointWriter::Run() {
  // Training goes first where they share a core. (Linux: of this thread alone.)
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), kNice);
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return request_ || ending_; });
    if (!request_) return;
    const Request request = *request_;
    lock.unlock();
    Status status = Write(request);
    lock.lock();
    if (status_) status_ = std::move(status);
    request_.reset();
    changed_.notify_all();
  }
}

Status CheckpointWriter::Write(const Request& request) {
  const auto begin = std::chrono::steady_clock::now();
  const std::span<const float> snapshot = options_.memory.snapshot();
  const std::size_t elements = snapshot.size() / 3;
  TUTTI_ASSIGN_OR_RETURN(
      const checkpoint::Committed committed,
      checkpoint::Write(options_.directory,
                        {.attempt = options_.attempt,
                         .cursor = request.cursor,
                         .spec_digest = options_.spec_digest,
                         .tensors = options_.tensors,
                         .parameters = snapshot.first(elements),
                         .first_moments = snapshot.subspan(elements, elements),
                         .second_moments = snapshot.subspan(2 * elements, elements),
                         .metrics = request.metrics}));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  const std::size_t limit = options_.keep == 0 ? 0 : std::max<std::size_t>(options_.keep, 2);
  options_.on_committed({.checkpoint = committed,
                         .write_seconds = seconds.count(),
                         .best_step = request.cursor.best_step,
                         .keep = limit});
  // Also of what writers of older attempts left half-written.
  const std::size_t keep = limit == 0 ? std::numeric_limits<std::size_t>::max() : limit;
  return checkpoint::Collect(options_.directory, keep, request.cursor.best_step, options_.attempt);
}

}  // namespace tutti::finetune
