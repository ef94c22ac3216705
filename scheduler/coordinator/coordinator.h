// The coordinator: all its parts, put together and taken apart in order.
//
// Start, Stop and the destructor belong to one thread.
#pragma once

#include <functional>
#include <memory>

#include "common/base/result.h"
#include "scheduler/coordinator/options.h"

namespace tutti::http {
class Router;
}

namespace tutti::coordinator {

class Coordinator {
 public:
  // Serves when it returns, and serving.json says where. `failed`: it cannot go on; on any thread.
  //   kConflict  where = the data directory: another coordinator has it open; where = HOST:PORT:
  //              the port is taken
  //   kIo        the state database is damaged: nothing was changed
  static Result<std::unique_ptr<Coordinator>> Start(const Options& options,
                                                    std::function<void(const Error&)> failed);
  ~Coordinator();  // Stop()

  // Answers what is under way (for 2 s at most), then ends. Workers keep their ranks running.
  void Stop();

  // What it answers; as long as it lives.
  const http::Router& routes() const;

 private:
  struct Parts;
  explicit Coordinator(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace tutti::coordinator
