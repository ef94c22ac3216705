#include "worker/agent/background.h"

#include <pthread.h>
#include <signal.h>

#include "common/base/check.h"

namespace tutti::agent {

Background::~Background() {
  for (auto& [id, thread] : threads_) thread.request_stop();
  threads_.clear();  // joins
}

std::stop_source Background::Start(std::function<Finish(std::stop_token)> work) {
  const std::uint64_t id = ++last_id_;
  // Signals are the loop's business: a new thread inherits a mask with all of them blocked.
  sigset_t all, before;
  sigfillset(&all);
  TUTTI_CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
  std::jthread thread([this, id, work = std::move(work)](std::stop_token stop) {
    Finish finish = work(std::move(stop));
    loop_.Post([this, id, finish = std::move(finish)] {
      threads_.erase(id);  // joins a thread that is at its end
      finish();
    });
  });
  TUTTI_CHECK(pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
  std::stop_source source = thread.get_stop_source();
  threads_.emplace(id, std::move(thread));
  return source;
}

}  // namespace tutti::agent
