#include "scheduler/simulate/scene.h"

#include <utility>

#include "common/base/check.h"

namespace tutti::simulate {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kViolationsMax = 10;
constexpr double kLoss = 0.03;
constexpr double kTwice = 0.02;
constexpr double kLate = 0.03;
// With a worker's lease and the time to kill its ranks this stays below the reassignment delay:
// nobody can promise one live attempt on a network without any bound.
constexpr Duration kLateMax = 1s;

}  // namespace

void Scene::After(Duration delay, std::function<void()> then) {
  events_.push({now_ + delay, ++sequence_, std::move(then)});
}

void Scene::RunUntil(Instant end) {
  while (!events_.empty() && events_.top().at <= end) {
    // The queue hands out const references; the event goes with the next line.
    Event event = std::move(const_cast<Event&>(events_.top()));
    events_.pop();
    now_ = event.at;
    event.then();
    if (!violations_.empty()) return;
  }
  now_ = std::max(now_, end);
}

void Scene::Note(std::uint64_t what, std::uint64_t a, std::uint64_t b) {
  const auto time = static_cast<std::uint64_t>(now_.since_start.count());
  for (const std::uint64_t each : {time, what, a, b}) hash_ = Scatter(hash_ ^ each);
}

bool Scene::Goes(double probability) {
  if (healed || !random.Chance(probability)) return false;
  ++faults_;
  return true;
}

void Scene::Broken(const std::string& promise) {
  if (violations_.size() >= kViolationsMax) return;
  violations_.push_back(internal::Concat(
      "at ", std::chrono::duration<double>(now_.since_start).count(), " s: ", promise));
}

void Scene::Send(std::size_t link, bool to_coordinator, const std::function<void()>& deliver) {
  const Link& way = links_.at(link);
  if ((to_coordinator ? way.cut_up : way.cut_down) || Goes(kLoss)) return;
  const int copies = Goes(kTwice) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    Duration delay = random.Between(100us, 3ms);
    if (Goes(kLate)) delay = random.Between(3ms, kLateMax);
    After(delay, deliver);
  }
}

void Scene::Partition(std::size_t link, bool to_coordinator, bool cut) {
  (to_coordinator ? links_.at(link).cut_up : links_.at(link).cut_down) = cut;
}

void Scene::Heal() {
  healed = true;
  links_.assign(kLinks, Link{});
}

}  // namespace tutti::simulate
