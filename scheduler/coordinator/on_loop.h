// Reads of the ledger and the store for threads that may wait for them: not the loop's own, nor a
// server's. Any other thread.
#pragma once

#include <chrono>
#include <future>
#include <memory>
#include <utility>

#include "scheduler/coordinator/loop.h"

namespace tutti::coordinator {

// What `read(view)` (a Result) gives on the loop's thread. kUnavailable when the loop has stopped;
// kTimeout when it does not come to it.
template <typename ReadFn>
auto OnLoop(Loop& loop, ReadFn read) -> decltype(read(std::declval<const View&>())) {
  using Answer = decltype(read(std::declval<const View&>()));
  constexpr auto kPatience = std::chrono::minutes(2);
  const auto promise = std::make_shared<std::promise<Answer>>();
  std::future<Answer> future = promise->get_future();
  loop.Read([promise, read = std::move(read)](const Result<View>& view) mutable {
    if (view) {
      promise->set_value(read(*view));
    } else {
      promise->set_value(Fail(view.error()));
    }
  });
  if (future.wait_for(kPatience) == std::future_status::ready) return future.get();
  return Fail(ErrorCode::kTimeout, "the coordinator is too busy to look", {}, "try again");
}

}  // namespace tutti::coordinator
