// One client's connection: reads a request, has it handled, writes the answer, and again. Owned by
// its pending operations, and by itself while it waits for a handler's answer; lives on one I/O
// thread, and only Mailbox is used from others.
// Internal to scheduler/http: the server alone includes it.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>

#include "common/file/file.h"
#include "common/tls/stream.h"
#include "scheduler/http/server.h"

namespace tutti::http {

class Connection;

// Brings work to an I/O thread; harmless when that thread is gone.
class Mailbox {
 public:
  explicit Mailbox(boost::asio::io_context& context) : context_(&context) {}
  void Post(std::function<void()> work);
  void Close();  // from now on Post drops

 private:
  std::mutex mutex_;
  boost::asio::io_context* context_;
};

// What all connections share.
struct Shared {
  Shared(ServerOptions o, const Router& r, const Auth& a)
      : options(std::move(o)),
        router(r),
        auth(a),
        pool(static_cast<std::size_t>(options.pool_threads)) {}

  void Opened();
  void Closed();

  const ServerOptions options;
  const Router& router;
  const Auth& auth;
  boost::asio::thread_pool pool;  // RunOn::kPool
  std::atomic<bool> stopping{false};
  std::mutex mutex;
  std::condition_variable closed;  // open changed
  std::size_t open = 0;            // guarded by mutex
};

// One I/O thread's part.
struct IoThread {
  std::unordered_set<Connection*> connections;  // touched on this thread alone
  boost::asio::io_context context{1};           // goes first: its operations own connections
  std::shared_ptr<Mailbox> mailbox = std::make_shared<Mailbox>(context);
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(boost::asio::ip::tcp::socket socket, Shared& shared, IoThread& thread);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Start();
  // Ends at once when idle or reading, else after the answer under way; streams get their end.
  void Wind();
  void Close();

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;
  using ErrorCodeAsio = boost::system::error_code;
  enum class Doing : std::uint8_t { kIdle, kReading, kHandling, kWriting, kStreaming, kClosed };

  // The start of TLS (handshake.cc).
  void WaitForHello();
  void ShakeHands();
  void SayItIsTls();

  // Reading (connection.cc).
  void WaitForRequest();
  void ReadHead();
  void OnHead(ErrorCodeAsio error);
  Status TakeHead();                    // fills request_ from the parser
  std::optional<Response> CheckHead();  // an answer that needs no body
  void StartBody();
  void ReadBody();
  void OnBody(ErrorCodeAsio error);
  Status TakePiece(std::string_view piece);
  void BodyDone();
  void Handle();
  Responder MakeResponder();
  void Refuse(int status, Error error);  // answers and closes

  // Writing (connection_write.cc).
  void Answer(Response response);
  std::string Head(const Response& response, std::optional<std::int64_t> length) const;
  void AnswerFile(Response response);
  void WriteAndFinish(std::string bytes);
  void SendFilePiece();
  void StartStream(Response response);
  void PullNext();
  void OnPiece(std::string piece, bool last);
  void EndStream();
  void EndStreamOnceWritten();
  void WriteChunk(std::string_view data, bool last);
  void ArmHeartbeat();
  void WatchForEof();
  void Finish();
  void Linger();
  void HalfClose();
  void Drop();
  void Written(ErrorCodeAsio error, const std::function<void()>& then);

  Shared& shared_;
  IoThread& thread_;
  tls::Stream stream_;
  boost::beast::flat_buffer buffer_;
  std::unique_ptr<Parser> parser_;
  Doing doing_ = Doing::kIdle;
  std::shared_ptr<Connection> kept_;  // itself, while a handler has the request
  boost::asio::ip::address peer_;

  // The request under way.
  void Begin();  // nothing is known of it yet
  Request request_;
  const Route* route_ = nullptr;
  Instant started_{};
  bool keep_alive_ = false;
  bool http_1_0_ = false;
  bool is_head_ = false;
  std::int64_t body_size_ = 0;
  std::string piece_;  // what the parser fills
  struct Spool {
    std::filesystem::path path;
    UniqueFd fd;
    Sha256 hash;
    ~Spool();
    Spool() = default;
    Spool(const Spool&) = delete;
    Spool& operator=(const Spool&) = delete;
  };
  std::unique_ptr<Spool> spool_;

  // The answer under way.
  int status_ = 0;
  std::string out_;
  UniqueFd file_;
  std::int64_t file_at_ = 0;
  std::int64_t file_left_ = 0;
  struct Streaming {
    explicit Streaming(boost::asio::io_context& context) : timer(context) {}
    StreamBody body;
    boost::asio::steady_timer timer;
    bool writing = false;
    bool pulling = false;
    bool ending = false;                               // once the write is done
    std::optional<std::pair<std::string, bool>> next;  // came while a heartbeat was written
  };
  std::unique_ptr<Streaming> streaming_;
};

}  // namespace tutti::http
