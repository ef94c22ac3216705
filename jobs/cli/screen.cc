#include "jobs/cli/screen.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string_view>

#include "common/file/file.h"

namespace tutti::cli {
namespace {

constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[2J";  // other page, no cursor
constexpr std::string_view kLeave = "\x1b[?25h\x1b[?1049l";

void Write(std::string_view text) {
  static_cast<void>(
      WriteAll(STDOUT_FILENO, std::as_bytes(std::span(text.data(), text.size())), "terminal"));
}

// It only has to end a poll().
void Wake(int) {}

struct Sequence {
  std::string_view bytes;
  Screen::Key key;
};

constexpr std::array kSequences = {
    Sequence{"\x1b[A", Screen::Key::kUp},      Sequence{"\x1bOA", Screen::Key::kUp},
    Sequence{"\x1b[B", Screen::Key::kDown},    Sequence{"\x1bOB", Screen::Key::kDown},
    Sequence{"\x1b[5~", Screen::Key::kPageUp}, Sequence{"\x1b[6~", Screen::Key::kPageDown},
    Sequence{"\x1b[H", Screen::Key::kFirst},   Sequence{"\x1b[F", Screen::Key::kLast},
    Sequence{"k", Screen::Key::kUp},           Sequence{"j", Screen::Key::kDown},
    Sequence{"b", Screen::Key::kPageUp},       Sequence{" ", Screen::Key::kPageDown},
    Sequence{"g", Screen::Key::kFirst},        Sequence{"G", Screen::Key::kLast},
    Sequence{"q", Screen::Key::kQuit},         Sequence{"Q", Screen::Key::kQuit},
    Sequence{"\x04", Screen::Key::kQuit},  // Ctrl-D
};

// The first key of `bytes`, taken away. An escape sequence of no key here goes as a whole.
Screen::Key TakeKey(std::string& bytes) {
  for (const Sequence& sequence : kSequences) {
    if (!bytes.starts_with(sequence.bytes)) continue;
    bytes.erase(0, sequence.bytes.size());
    return sequence.key;
  }
  bytes.erase(0, bytes.front() == '\x1b' ? std::string::npos : 1);
  return Screen::Key::kOther;
}

}  // namespace

Result<std::unique_ptr<Screen>> Screen::Open() {
  std::unique_ptr<Screen> screen(new Screen());
  termios now{};
  if (::tcgetattr(STDIN_FILENO, &now) != 0) {
    return Fail(ErrnoError("cannot read the terminal's settings", "stdin", errno));
  }
  screen->before_ = now;
  // Ctrl-C stays a signal; Ctrl-Z would leave the terminal as it is here.
  now.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  now.c_cc[VSUSP] = _POSIX_VDISABLE;
  now.c_cc[VMIN] = 0;
  now.c_cc[VTIME] = 0;
  if (::tcsetattr(STDIN_FILENO, TCSAFLUSH, &now) != 0) {
    return Fail(ErrnoError("cannot change the terminal's settings", "stdin", errno));
  }
  struct sigaction wake {};
  wake.sa_handler = Wake;
  ::sigaction(SIGWINCH, &wake, nullptr);
  Write(kEnter);
  return screen;
}

Screen::~Screen() {
  Write(kLeave);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  ::signal(SIGWINCH, SIG_DFL);
}

Screen::Size Screen::size() const {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return {};
  return {.width = size.ws_col, .height = std::max<int>(size.ws_row, 1)};
}

// One write: nothing half-drawn is seen.
void Screen::Draw(const std::vector<std::string>& lines) {
  std::string frame = "\x1b[H";
  for (std::size_t i = 0; i < lines.size(); ++i) {
    frame += lines[i] + "\x1b[K" + (i + 1 < lines.size() ? "\r\n" : "");
  }
  Write(frame + "\x1b[J");
}

std::optional<Screen::Key> Screen::Await(Duration patience, int stop_fd) {
  if (!pressed_.empty()) return TakeKey(pressed_);
  std::array<pollfd, 2> fds{{{STDIN_FILENO, POLLIN, 0}, {stop_fd, POLLIN, 0}}};
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(patience).count();
  const int ready =
      ::poll(fds.data(), fds.size(), static_cast<int>(std::clamp<long>(ms, 0, 60'000)));
  if (ready <= 0 || fds[0].revents == 0) return std::nullopt;
  std::array<char, 64> bytes{};
  const ssize_t count = ::read(STDIN_FILENO, bytes.data(), bytes.size());
  if (count > 0) {
    pressed_.assign(bytes.data(), static_cast<std::size_t>(count));
    return TakeKey(pressed_);
  }
  // Somebody closed the terminal.
  if ((fds[0].revents & (POLLHUP | POLLERR)) != 0) return Key::kQuit;
  return std::nullopt;
}

}  // namespace tutti::cli
