#include "scheduler/simulate/fake_gang.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "common/base/check.h"

namespace tutti::simulate {
namespace {

using namespace std::chrono_literals;

constexpr std::int32_t kPeerGone = 13 << 8;  // as waitpid has it

std::uint64_t StateAfter(std::uint64_t state, JobId job, std::uint64_t step) {
  return Scatter(state ^ Scatter(job.value() * 1'000'003 + step));
}

std::string DigestOfState(std::uint64_t state) {
  char text[32];
  std::snprintf(text, sizeof text, "sha256:%016llx", static_cast<unsigned long long>(state));
  return text;
}

}  // namespace

std::string Write(const Work& work) {
  return internal::Concat(work.steps, " ", work.save_every, " ", work.step.count());
}

Work ReadWork(const std::string& spec_json) {
  Work work;
  std::int64_t step = 0;
  std::istringstream in(spec_json);
  in >> work.steps >> work.save_every >> step;
  TUTTI_CHECK(!in.fail(), spec_json);
  work.step = Duration{step};
  return work;
}

std::string DigestOf(JobId job, std::uint64_t steps) {
  std::uint64_t state = 0;
  for (std::uint64_t step = 1; step <= steps; ++step) state = StateAfter(state, job, step);
  return DigestOfState(state);
}

void FakeRanks::Start(Birth birth) {
  const Seat seat = birth.seat;
  Rank& rank = gangs_[seat.gang].ranks[seat.rank];
  rank = Rank{.alive = true, .loaded = false, .stalled_until = {}, .birth = std::move(birth)};
  scene_.After(scene_.random.Between(20ms, 400ms), [this, seat] { Loaded(seat); });
}

bool FakeRanks::IsAlive(const Seat& seat) const {
  const auto gang = gangs_.find(seat.gang);
  if (gang == gangs_.end()) return false;
  const auto rank = gang->second.ranks.find(seat.rank);
  return rank != gang->second.ranks.end() && rank->second.alive;
}

// Never two attempts of a job that can write. Ranks whose peers are gone wait for their end; they
// write nothing.
void FakeRanks::CheckAlone(const core::GangKey& key) {
  for (auto it = gangs_.lower_bound({key.job, Attempt{0}});
       it != gangs_.end() && it->first.job == key.job; ++it) {
    if (it->first.attempt == key.attempt) continue;
    if (!it->second.ended && Whole(it->second)) {
      scene_.Broken(internal::Concat("attempts ", Number(it->first.attempt), " and ",
                                     Number(key.attempt), " of job ", key.job, " live together"));
    }
  }
}

bool FakeRanks::Whole(const Gang& gang) {
  if (gang.ranks.empty()) return false;
  const std::uint32_t size = gang.ranks.begin()->second.birth.size;
  return gang.ranks.size() == size && std::ranges::all_of(gang.ranks, [](const auto& entry) {
           return entry.second.alive && entry.second.loaded;
         });
}

void FakeRanks::Loaded(const Seat& seat) {
  if (!IsAlive(seat)) return;
  Gang& gang = gangs_[seat.gang];
  gang.ranks[seat.rank].loaded = true;
  if (!Whole(gang) || gang.training) return;
  gang.training = true;
  CheckAlone(seat.gang);
  for (const Saved& saved : gang.ranks.begin()->second.birth.checkpoints) {
    const auto file = files_.find(saved.path);
    if (file == files_.end()) {
      scene_.Broken("checkpoint " + saved.path + " counts but was never written");
      return;
    }
    gang.step = saved.step;
    gang.state = file->second;
    break;
  }
  scene_.Note(10, seat.gang.job.value(), gang.step);
  const core::GangKey key = seat.gang;
  // Those who are told may end ranks in answer.
  std::vector<std::function<void()>> told;
  for (const auto& [number, rank] : gang.ranks) {
    told.push_back([say = rank.birth.say, number = number, step = gang.step] {
      say(enginelink::Ready{.rank = number, .from_step = step});
    });
  }
  Schedule(key, gang);
  for (const auto& tell : told) tell();
}

void FakeRanks::Schedule(const core::GangKey& key, const Gang& gang) {
  const Work& work = gang.ranks.begin()->second.birth.work;
  const auto size = static_cast<std::int64_t>(gang.ranks.size());
  Duration step = work.step / size * gang.slowed;
  Instant held;
  for (const auto& [number, rank] : gang.ranks) held = std::max(held, rank.stalled_until);
  if (held > scene_.now()) step += held - scene_.now();
  scene_.After(step, [this, key] { TakeStep(key); });
}

void FakeRanks::TakeStep(const core::GangKey& key) {
  const auto found = gangs_.find(key);
  if (found == gangs_.end()) return;
  Gang& gang = found->second;
  if (!Whole(gang) || gang.ended) return;
  const bool stalled = std::ranges::any_of(
      gang.ranks, [&](const auto& entry) { return entry.second.stalled_until > scene_.now(); });
  if (stalled) return Schedule(key, gang);
  CheckAlone(key);
  const Work work = gang.ranks.begin()->second.birth.work;
  if (gang.step < work.steps) {
    ++gang.step;
    gang.state = StateAfter(gang.state, key.job, gang.step);
  }
  const std::uint64_t step = gang.step;
  std::vector<std::function<void()>> told;
  for (const auto& [number, rank] : gang.ranks) {
    told.push_back([say = rank.birth.say, number = number, step] {
      say(enginelink::Beat{
          .rank = number, .step = step, .collective = 2 * step, .phase = "forward"});
    });
  }
  for (const auto& tell : told) tell();
  if (!Whole(gang)) return;
  if (step >= work.steps) return Finish(key, gang, enginelink::Done::Outcome::kSucceeded);
  if (gang.stop) {
    Save(key, gang);
    return Finish(key, gang, enginelink::Done::Outcome::kReleased);
  }
  if (gang.checkpoint || step % work.save_every == 0) Save(key, gang);
  gang.checkpoint = false;
  if (Whole(gang)) Schedule(key, gang);
}

void FakeRanks::Save(const core::GangKey& key, Gang& gang) {
  const std::string path = internal::Concat(key.job, "/", Number(key.attempt), "-", gang.step);
  files_[path] = gang.state;
  const auto say = gang.ranks.begin()->second.birth.say;
  say(enginelink::Checkpoint{
      .step = gang.step, .path = path, .state_digest = DigestOfState(gang.state), .size_bytes = 1});
}

void FakeRanks::Finish(const core::GangKey& key, Gang& gang, enginelink::Done::Outcome outcome) {
  gang.ended = true;
  std::vector<std::function<void()>> told;
  for (const auto& [number, rank] : gang.ranks) {
    told.push_back([say = rank.birth.say, outcome, step = gang.step, state = gang.state] {
      // Of each machine's first rank; the others' are not listened to.
      say(enginelink::Done{.outcome = outcome, .step = step, .files = {DigestOfState(state)}});
    });
    const Seat seat{key, number};
    scene_.After(scene_.random.Between(1ms, 50ms), [this, seat] { Kill(seat, 0); });
  }
  for (const auto& tell : told) tell();
}

void FakeRanks::Kill(const Seat& seat, std::int32_t wait_status) {
  if (!IsAlive(seat)) return;
  Gang& gang = gangs_[seat.gang];
  Rank& rank = gang.ranks[seat.rank];
  rank.alive = false;
  scene_.Note(11, seat.gang.job.value(), seat.rank);
  if (!gang.ended) {
    gang.ended = true;
    for (const auto& [number, other] : gang.ranks) {
      const Seat peer{seat.gang, number};
      scene_.After(scene_.random.Between(20ms, 300ms), [this, peer] { Kill(peer, kPeerGone); });
    }
  }
  const auto exited = rank.birth.exited;
  exited(wait_status);
  std::erase_if(gangs_, [&](const auto& entry) {
    return entry.first == seat.gang &&
           std::ranges::none_of(entry.second.ranks, [](const auto& r) { return r.second.alive; });
  });
}

void FakeRanks::Tell(const core::GangKey& key, const enginelink::ToEngine& message) {
  const auto gang = gangs_.find(key);
  if (gang == gangs_.end()) return;
  if (std::holds_alternative<enginelink::Stop>(message)) gang->second.stop = true;
  if (std::holds_alternative<enginelink::CheckpointNow>(message)) gang->second.checkpoint = true;
}

std::vector<FakeRanks::Seat> FakeRanks::Alive() const {
  std::vector<Seat> alive;
  for (const auto& [key, gang] : gangs_) {
    for (const auto& [number, rank] : gang.ranks) {
      if (rank.alive) alive.push_back({key, number});
    }
  }
  return alive;
}

void FakeRanks::Stall(const Seat& seat, Duration time) {
  if (IsAlive(seat)) gangs_[seat.gang].ranks[seat.rank].stalled_until = scene_.now() + time;
}

void FakeRanks::Slow(const core::GangKey& key, std::uint32_t times) {
  const auto gang = gangs_.find(key);
  if (gang != gangs_.end()) gang->second.slowed = times;
}

}  // namespace tutti::simulate
