// Slow work off the loop: each piece on a thread of its own, its result back on the loop's thread.
//
// Owned by the agent, on its loop's thread. `done` is called exactly once, also after a stop was
// asked for, unless the Background itself goes first (it stops and joins everything).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <thread>
#include <utility>

#include "worker/agent/loop.h"

namespace tutti::agent {

class Background {
 public:
  explicit Background(Loop& loop) : loop_(loop) {}
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // `work` looks at its token at least every 200 ms. Ask it to stop through what is returned.
  template <typename T>
  std::stop_source Run(std::function<T(std::stop_token)> work, std::function<void(T)> done) {
    return Start([work = std::move(work), done = std::move(done)](std::stop_token stop) {
      auto result = std::make_shared<T>(work(std::move(stop)));
      return [result, done] { done(std::move(*result)); };
    });
  }

  bool idle() const { return threads_.empty(); }

 private:
  using Finish = std::function<void()>;
  std::stop_source Start(std::function<Finish(std::stop_token)> work);

  Loop& loop_;
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, std::jthread> threads_;
};

}  // namespace tutti::agent
