// The terminal as a full screen: another page, no cursor, keys as they are pressed. What was there
// comes back with the destructor. One at a time; main thread only.
#pragma once

#include <termios.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/time.h"

namespace tutti::cli {

class Screen {
 public:
  // REQUIRES: stdin and stdout are a terminal. kIo when it cannot be changed.
  static Result<std::unique_ptr<Screen>> Open();
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  struct Size {
    int width = 80;
    int height = 24;
  };
  Size size() const;

  // Instead of what is there. No line may be wider than the screen.
  void Draw(const std::vector<std::string>& lines);

  enum class Key { kQuit, kUp, kDown, kPageUp, kPageDown, kFirst, kLast, kOther };
  // The next key; nullopt when none was pressed until the time is over, `stop_fd` is readable or
  // the screen has another size now.
  std::optional<Key> Await(Duration patience, int stop_fd);

 private:
  Screen() = default;

  termios before_{};
  std::string pressed_;  // keys that nobody asked for yet
};

}  // namespace tutti::cli
