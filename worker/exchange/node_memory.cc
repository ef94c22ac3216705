#include "worker/exchange/node_memory.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "common/base/check.h"
#include "worker/exchange/sum.h"

namespace tutti::exchange {
namespace {

constexpr std::uint64_t kMagic = 0x54555454'494D454Du;  // "TUTTIMEM"
constexpr std::uint32_t kFormat = 3;
constexpr std::uint64_t kPageBytes = 4096;
constexpr std::size_t kMailboxBytes = 64 << 10;
constexpr std::size_t kReasonBytes = 512;
constexpr std::uint32_t kAborting = 1;  // the reason is being written
constexpr std::uint32_t kAborted = 2;
constexpr std::chrono::microseconds kSpin{50};
constexpr std::chrono::milliseconds kPeerCheck{50};
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t PageUp(std::uint64_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

void FutexWait(std::atomic<std::uint32_t>& word, std::uint32_t seen,
               std::chrono::nanoseconds timeout) {
  const timespec relative{timeout.count() / 1'000'000'000, timeout.count() % 1'000'000'000};
  syscall(SYS_futex, &word, FUTEX_WAIT, seen, &relative, nullptr, 0);
}

void FutexWakeAll(std::atomic<std::uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
}

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

struct NodeMemory::Header {
  std::uint64_t magic;
  std::uint32_t format;
  std::atomic<std::uint32_t> ready;  // 1: everything above and below is set
  std::uint64_t elements;
  std::uint32_t local_size;
  std::uint32_t gradient_levels;
  std::uint32_t shards;
  std::uint32_t snapshot;
  std::uint64_t generation;
  std::uint64_t frozen;
  alignas(64) std::atomic<std::uint32_t> arrived;
  alignas(64) std::atomic<std::uint32_t> epoch;  // futex word: +1 when all have arrived
  alignas(64) std::atomic<std::uint32_t> aborted;
  char reason[kReasonBytes];
  alignas(64) std::atomic<std::uint64_t> control;
  std::atomic<std::int32_t> pids[kMaxLocalRanks];
  alignas(64) std::atomic<std::uint64_t> progress[kMaxLocalRanks];
};

static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// Where each region starts, in bytes; each on its own page.
struct NodeMemory::Regions {
  std::uint64_t parameters, first, second, snapshot, gradients, blocks, shards, mailboxes, frozen,
      end;
  std::uint64_t gradient_stride;

  explicit Regions(const NodeLayout& l) {
    const std::uint64_t buffer = PageUp(l.elements * sizeof(float));
    parameters = PageUp(sizeof(Header));
    first = parameters + buffer;
    second = first + buffer;
    snapshot = second + buffer;
    gradients = snapshot + (l.snapshot ? PageUp(3 * l.elements * sizeof(float)) : 0);
    gradient_stride = buffer;
    blocks = gradients + gradient_stride * l.local_size * l.gradient_levels;
    shards = blocks + PageUp(BlocksOf(l.elements) * sizeof(double));
    mailboxes = shards + PageUp(l.shards * sizeof(ShardSums));
    frozen = mailboxes + PageUp(l.local_size * (PageUp(sizeof(std::uint64_t)) + kMailboxBytes));
    end = frozen + PageUp(l.frozen * sizeof(float));
  }
};

std::uint64_t NodeLayout::TotalBytes() const {
  // 48 bits of elements: no product below can overflow.
  TUTTI_CHECK(elements < (std::uint64_t{1} << 40), elements, " elements");
  TUTTI_CHECK(frozen < (std::uint64_t{1} << 40), frozen, " weights");
  const std::uint64_t floats =
      elements * (3 + (snapshot ? 3 : 0) + std::uint64_t{local_size} * gradient_levels) + frozen;
  return floats * sizeof(float) + BlocksOf(elements) * sizeof(double) + shards * sizeof(ShardSums) +
         local_size * kMailboxBytes;
}

Result<NodeMemory> NodeMemory::Attach(UniqueFd memory, Options options) {
  const NodeLayout& layout = options.layout;
  TUTTI_CHECK(layout.elements > 0 && layout.local_size > 0 && layout.gradient_levels > 0);
  TUTTI_CHECK(layout.local_size <= kMaxLocalRanks, layout.local_size, " ranks on a machine");
  TUTTI_CHECK(options.local_rank < layout.local_size);
  NodeMemory result(std::move(options));
  if (result.options_.local_rank == 0) {
    TUTTI_RETURN_IF_ERROR(result.CreateHeader(memory.get()));
  } else {
    TUTTI_RETURN_IF_ERROR(result.AwaitHeader(memory.get()));
  }
  TUTTI_RETURN_IF_ERROR(result.FindPeers());
  return result;
}

NodeMemory::NodeMemory(NodeMemory&& other) noexcept
    : options_(std::move(other.options_)),
      base_(std::exchange(other.base_, nullptr)),
      mapped_bytes_(other.mapped_bytes_),
      peers_(std::move(other.peers_)),
      barriers_(other.barriers_),
      on_wait_(std::move(other.on_wait_)) {}

NodeMemory::~NodeMemory() {
  if (base_ != nullptr) munmap(base_, mapped_bytes_);
}

Status NodeMemory::Map(int fd) {
  mapped_bytes_ = Regions(options_.layout).end;
  void* at = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return Fail(ErrnoError("cannot map", "the gang's memory", errno));
  base_ = static_cast<std::byte*>(at);
  madvise(at, mapped_bytes_, MADV_HUGEPAGE);  // where the system allows it for shared memory
  return {};
}

Status NodeMemory::CreateHeader(int fd) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return Fail(ErrnoError("cannot stat", "the gang's memory", errno));
  if (info.st_size != 0) {
    return Fail(ErrorCode::kInvalid, "the gang's memory is in use by another attempt");
  }
  if (ftruncate(fd, static_cast<off_t>(Regions(options_.layout).end)) != 0) {
    return Fail(ErrnoError("cannot size", "the gang's memory", errno));
  }
  TUTTI_RETURN_IF_ERROR(Map(fd));
  Header& h = *new (base_) Header;  // all zero: fresh pages
  h.magic = kMagic;
  h.format = kFormat;
  h.elements = options_.layout.elements;
  h.local_size = options_.layout.local_size;
  h.gradient_levels = options_.layout.gradient_levels;
  h.shards = options_.layout.shards;
  h.snapshot = options_.layout.snapshot ? 1 : 0;
  h.generation = options_.layout.generation;
  h.frozen = options_.layout.frozen;
  h.ready.store(1, std::memory_order_release);
  FutexWakeAll(h.ready);
  return {};
}

Status NodeMemory::AwaitHeader(int fd) {
  const auto give_up = Clock::now() + options_.deadline;
  const auto late = [&] { return Clock::now() > give_up; };
  const Unexpected timeout =
      Fail(ErrorCode::kTimeout, "local rank 0 did not set up the gang's memory in time");
  struct stat info {};
  while (true) {
    if (fstat(fd, &info) != 0) return Fail(ErrnoError("cannot stat", "the gang's memory", errno));
    if (info.st_size > 0) break;
    if (late()) return timeout;
    poll(nullptr, 0, 1);  // a size cannot be waited for
  }
  if (static_cast<std::uint64_t>(info.st_size) != Regions(options_.layout).end) {
    return Fail(ErrorCode::kInvalid, "the gang's memory is of another layout");
  }
  TUTTI_RETURN_IF_ERROR(Map(fd));
  Header& h = header();
  while (h.ready.load(std::memory_order_acquire) == 0) {
    if (late()) return timeout;
    FutexWait(h.ready, 0, kPeerCheck);
  }
  const NodeLayout found{.elements = h.elements,
                         .local_size = h.local_size,
                         .gradient_levels = h.gradient_levels,
                         .shards = h.shards,
                         .snapshot = h.snapshot != 0,
                         .generation = h.generation,
                         .frozen = h.frozen};
  if (h.magic != kMagic || h.format != kFormat || found != options_.layout) {
    return Fail(ErrorCode::kInvalid, "the gang's memory is of another layout or attempt");
  }
  return {};
}

// A pidfd tells of a death at once and never of another process with the same number.
Status NodeMemory::FindPeers() {
  Header& h = header();
  const std::uint32_t size = options_.layout.local_size;
  h.pids[options_.local_rank].store(getpid(), std::memory_order_release);
  peers_.resize(size);
  const auto give_up = Clock::now() + options_.deadline;
  for (std::uint32_t rank = 0; rank < size; ++rank) {
    if (rank == options_.local_rank) continue;
    std::int32_t pid = 0;
    while ((pid = h.pids[rank].load(std::memory_order_acquire)) == 0) {
      if (h.aborted.load(std::memory_order_acquire) == kAborted) return PeersAlive();
      if (Clock::now() > give_up) {
        return Fail(ErrorCode::kTimeout, "local rank " + std::to_string(rank) +
                                             " did not join the gang's memory in time");
      }
      poll(nullptr, 0, 1);
    }
    peers_[rank] = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    if (!peers_[rank] && errno == ESRCH) {
      return Fail(ErrorCode::kUnavailable, "local rank " + std::to_string(rank) + " died");
    }
  }
  return {};
}

Status NodeMemory::PeersAlive() {
  Header& h = header();
  for (std::uint32_t rank = 0; rank < peers_.size(); ++rank) {
    if (h.aborted.load(std::memory_order_acquire) == kAborted) break;
    if (!peers_[rank]) continue;
    pollfd waiting{peers_[rank].get(), POLLIN, 0};
    // The first to see it says so: those who leave because of it are not taken for its cause.
    if (poll(&waiting, 1, 0) > 0) Abort("local rank " + std::to_string(rank) + " died");
  }
  if (h.aborted.load(std::memory_order_acquire) != kAborted) return {};
  return Fail(ErrorCode::kUnavailable,
              "a peer gave up: " + std::string(h.reason, strnlen(h.reason, sizeof h.reason)));
}

Status NodeMemory::Barrier() {
  Header& h = header();
  ++barriers_;
  if (h.aborted.load(std::memory_order_acquire) == kAborted) return PeersAlive();
  const std::uint32_t size = options_.layout.local_size;
  const std::uint32_t epoch = h.epoch.load(std::memory_order_acquire);
  if (h.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == size) {
    h.arrived.store(0, std::memory_order_relaxed);
    h.epoch.store(epoch + 1, std::memory_order_release);
    if (size > 1) FutexWakeAll(h.epoch);
    return {};
  }
  const auto passed = [&] { return h.epoch.load(std::memory_order_acquire) != epoch; };
  const auto start = Clock::now();
  while (!passed() && Clock::now() - start < kSpin) Pause();
  while (!passed()) {
    FutexWait(h.epoch, epoch, kPeerCheck);
    if (passed()) break;
    // A peer may have passed through this barrier and left in good order since.
    const Status alive = PeersAlive();
    if (passed()) break;
    TUTTI_RETURN_IF_ERROR(alive);
    if (on_wait_) TUTTI_RETURN_IF_ERROR(on_wait_());
    if (Clock::now() - start > options_.deadline) {
      return Fail(ErrorCode::kTimeout, "a peer did not reach the barrier in time");
    }
  }
  return {};
}

Result<std::vector<std::string>> NodeMemory::AllGather(std::string_view mine) {
  const std::uint32_t size = options_.layout.local_size;
  const Regions regions(options_.layout);
  const auto mailbox = [&](std::uint32_t rank) {
    return base_ + regions.mailboxes + rank * (PageUp(sizeof(std::uint64_t)) + kMailboxBytes);
  };
  std::vector<std::string> all(size);
  std::vector<std::uint64_t> left(size, 1);
  std::uint64_t sent = 0;
  // Rounds of one mailbox each: what is left to send, then a piece of it.
  while (std::any_of(left.begin(), left.end(), [](auto n) { return n > 0; })) {
    const std::uint64_t rest = mine.size() - sent;
    const std::uint64_t piece = std::min<std::uint64_t>(rest, kMailboxBytes);
    std::byte* own = mailbox(options_.local_rank);
    std::memcpy(own, &rest, sizeof rest);
    std::memcpy(own + PageUp(sizeof rest), mine.data() + sent, piece);
    sent += piece;
    TUTTI_RETURN_IF_ERROR(Barrier());
    for (std::uint32_t rank = 0; rank < size; ++rank) {
      std::uint64_t theirs = 0;
      std::memcpy(&theirs, mailbox(rank), sizeof theirs);
      const std::uint64_t got = std::min<std::uint64_t>(theirs, kMailboxBytes);
      all[rank].append(reinterpret_cast<const char*>(mailbox(rank) + PageUp(sizeof theirs)), got);
      left[rank] = theirs - got;
    }
    TUTTI_RETURN_IF_ERROR(Barrier());
  }
  return all;
}

void NodeMemory::Abort(std::string_view reason) {
  Header& h = header();
  std::uint32_t first = 0;
  if (!h.aborted.compare_exchange_strong(first, kAborting)) return;
  const std::size_t length = std::min(reason.size(), sizeof h.reason - 1);
  std::memcpy(h.reason, reason.data(), length);
  h.reason[length] = '\0';
  h.aborted.store(kAborted, std::memory_order_release);
  FutexWakeAll(h.epoch);
}

NodeMemory::Header& NodeMemory::header() const { return *reinterpret_cast<Header*>(base_); }

float* NodeMemory::FloatsAt(std::uint64_t offset) const {
  return reinterpret_cast<float*>(base_ + offset);
}

std::span<float> NodeMemory::parameters() const {
  return {FloatsAt(Regions(options_.layout).parameters), options_.layout.elements};
}
std::span<float> NodeMemory::first_moments() const {
  return {FloatsAt(Regions(options_.layout).first), options_.layout.elements};
}
std::span<float> NodeMemory::second_moments() const {
  return {FloatsAt(Regions(options_.layout).second), options_.layout.elements};
}
std::span<float> NodeMemory::snapshot() const {
  if (!options_.layout.snapshot) return {};
  return {FloatsAt(Regions(options_.layout).snapshot), 3 * options_.layout.elements};
}
std::span<float> NodeMemory::frozen() const {
  return {FloatsAt(Regions(options_.layout).frozen), options_.layout.frozen};
}
std::span<float> NodeMemory::gradients(std::uint32_t rank, std::uint32_t level) const {
  TUTTI_CHECK(rank < options_.layout.local_size && level < options_.layout.gradient_levels);
  const Regions regions(options_.layout);
  const std::uint64_t index = std::uint64_t{rank} * options_.layout.gradient_levels + level;
  return {FloatsAt(regions.gradients + index * regions.gradient_stride), options_.layout.elements};
}
std::span<double> NodeMemory::block_sums() const {
  return {reinterpret_cast<double*>(base_ + Regions(options_.layout).blocks),
          BlocksOf(options_.layout.elements)};
}
std::span<ShardSums> NodeMemory::shard_sums() const {
  return {reinterpret_cast<ShardSums*>(base_ + Regions(options_.layout).shards),
          options_.layout.shards};
}
std::atomic<std::uint64_t>& NodeMemory::control() const { return header().control; }
std::atomic<std::uint64_t>& NodeMemory::progress(std::uint32_t rank) const {
  TUTTI_CHECK(rank < options_.layout.local_size, rank);
  return header().progress[rank];
}

}  // namespace tutti::exchange
