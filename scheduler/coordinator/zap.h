// ZAP: who may connect to the ZeroMQ socket. A thread answers libzmq's questions at
// inproc://zeromq.zap.01: a CURVE client is let in when its public key lies in the folder of
// allowed keys as NAME.pub, and its messages then carry NAME as their user id. The folder is read
// again whenever an unknown key comes.
//
// Made before the socket is bound; destroyed after its context was shut down.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <zmq.hpp>

#include "common/base/result.h"
#include "common/base/time.h"

namespace tutti::coordinator {

class Zap {
 public:
  static constexpr const char* kDomain = "tutti";

  // `context` outlives it.
  Zap(zmq::context_t& context, std::filesystem::path allowed_dir);
  ~Zap();  // REQUIRES: context.shutdown() was called
  Zap(const Zap&) = delete;
  Zap& operator=(const Zap&) = delete;

 private:
  void Run();
  // The name of a key, "" when it is not allowed.
  std::string NameOf(const std::string& public_key);
  void ReadFolder();
  void Refused(const std::string& key, const std::string& address);
  // What its file says now.
  std::optional<std::string> KeyOf(const std::string& name) const;

  const std::filesystem::path allowed_dir_;
  zmq::socket_t socket_;
  // Of the thread from here on.
  std::map<std::string, std::string> names_;      // by public key, Z85
  std::filesystem::file_time_type read_of_ = {};  // the folder's, when it was read
  Instant read_at_;
  std::uint64_t refused_ = 0;  // since it was last logged
  Instant next_log_;
  std::thread thread_;
};

}  // namespace tutti::coordinator
