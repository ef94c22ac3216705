// Enrollments: secrets that let workers on other machines in, once each, and the keys of those that
// came. A secret is a file named by its SHA-256 in coordinator/joins/; a key is NAME.pub in
// coordinator/allowed/ (zap.h).
//
// Of the loop's thread.
#pragma once

#include <filesystem>
#include <string>

#include "common/base/result.h"
#include "common/base/time.h"

namespace tutti::coordinator {

struct JoinSecret {
  std::string secret;  // shown once, kept nowhere
  WallTime expires;
};

// What a worker says to be let in.
struct JoinClaim {
  std::string secret;
  std::string name;
  std::string public_key;  // CURVE, Z85
};

class Enrollments {
 public:
  // Folders are made when they are needed.
  explicit Enrollments(const std::filesystem::path& coordinator_dir)
      : joins_(coordinator_dir / "joins"), allowed_(coordinator_dir / "allowed") {}

  // A fresh secret, for a worker of that name or ("") of any. Removes what expired long ago.
  Result<JoinSecret> Make(Duration lifetime, const std::string& name, WallTime now);

  // Lets the worker in: its key is allowed when this returns. The same claim again is the same
  // success, so that a lost answer loses nothing.
  //   kAuth      the secret is wrong, used, expired, or another worker's
  //   kConflict  the name is another key's
  //   kInvalid   no name, no key
  Status Enroll(const JoinClaim& claim, WallTime now);

  // Takes the key of a worker back. kNotFound when there is none.
  Status Remove(const std::string& name);

 private:
  struct Record;
  Result<Record> Read(const std::filesystem::path& path) const;
  Status Write(const std::filesystem::path& path, const Record& record) const;
  std::filesystem::path PathOf(const std::string& secret) const;
  void Sweep(WallTime now) const;
  void ForgetUses(const std::string& name) const;

  std::filesystem::path joins_;
  std::filesystem::path allowed_;
};

}  // namespace tutti::coordinator
