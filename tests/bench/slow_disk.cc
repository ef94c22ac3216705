// A disk whose syncs take SLOW_DISK_MS longer, preloaded into a program: what a laptop's or a
// network's disk is like.
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>

namespace {

int Slowly(int result) {
  const char* text = std::getenv("SLOW_DISK_MS");
  const long ms = text == nullptr ? 0 : std::strtol(text, nullptr, 10);
  const timespec wait{.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1'000'000};
  ::nanosleep(&wait, nullptr);
  return result;
}

}  // namespace

extern "C" int fdatasync(int file) {
  return Slowly(static_cast<int>(::syscall(SYS_fdatasync, file)));
}
extern "C" int fsync(int file) { return Slowly(static_cast<int>(::syscall(SYS_fsync, file))); }
