// A coordinator's blobs for tests: a small HTTP server on a thread of its own, one request a
// connection, answers by content from memory.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/file/file.h"

namespace tutti::agent {

class BlobServer {
 public:
  BlobServer();  // listens on 127.0.0.1, any port
  ~BlobServer();

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  int port() const { return port_; }
  static constexpr const char* kToken = "secret";

  // Returns its digest, "sha256:…".
  std::string Add(const std::string& content);
  // What another route has, by its target: "/api/v1/jobs/…". PUT with X-Tutti-Digest fills it too.
  void AddAt(const std::string& target, const std::string& content);
  bool Has(const std::string& digest) const;  // or target

  // From now on:
  void BreakAfter(std::size_t bytes) { break_after_ = bytes; }  // the next GET's body
  void AnswerPuts(int status) { put_status_ = status; }         // instead of taking them
  void AnswerPosts(int status, const std::string& body);
  void RefuseLinks(bool refuse) { refuse_links_ = refuse; }  // 422 to X-Tutti-Link
  void Damage(const std::string& digest);                    // other bytes, same length
  void Stall(bool stall) { stall_ = stall; }                 // never answers

  std::vector<std::string> requests() const;  // "GET /api/v1/blobs/sha256:…"
  std::vector<std::string> posts() const;     // bodies

 private:
  struct Request;
  void Serve();
  void Handle(int connection);
  void Get(int connection, const Request& request);
  void Put(int connection, const Request& request);

  UniqueFd listener_;
  int port_ = 0;
  std::atomic<bool> stop_ = false;
  std::atomic<bool> stall_ = false;
  std::atomic<bool> refuse_links_ = false;
  std::atomic<int> put_status_ = 0;
  std::atomic<int> post_status_ = 404;
  std::atomic<std::size_t> break_after_ = 0;
  mutable std::mutex mutex_;
  std::map<std::string, std::string> blobs_;  // guarded by mutex_
  std::vector<std::string> requests_;         // guarded by mutex_
  std::string post_answer_;                   // guarded by mutex_
  std::vector<std::string> posts_;            // guarded by mutex_
  std::thread thread_;
};

}  // namespace tutti::agent
