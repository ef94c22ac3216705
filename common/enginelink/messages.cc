#include "common/enginelink/messages.h"

#include <cmath>
#include <concepts>
#include <limits>
#include <type_traits>
#include <utility>

namespace tutti::enginelink {
namespace {

using nlohmann::json;

template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};

std::string_view OutcomeName(Done::Outcome outcome) {
  switch (outcome) {
    case Done::Outcome::kSucceeded:
      return "succeeded";
    case Done::Outcome::kReleased:
      return "released";
  }
  return "";
}

// One list of fields a message; `v` is a Writer or a Reader below.
template <typename V, typename M>
void Visit(V& v, M& m) requires std::same_as<std::remove_const_t<M>, CheckpointRef> {
  v("step", m.step);
  v("path", m.path);
  v("state_digest", m.state_digest);
}

template <typename V, typename M>
void Visit(V& v, M& m) requires std::same_as<std::remove_const_t<M>, Plan> {
  v("job", m.job);
  v("attempt", m.attempt);
  v("spec", m.spec);
  v("rank", m.rank);
  v("size", m.size);
  v("local_rank", m.local_rank);
  v("local_size", m.local_size);
  v("memory_fd", m.memory_fd);
  v("model_dir", m.model_dir);
  v("train_path", m.train_path);
  v("eval_path", m.eval_path);
  v("checkpoint_dir", m.checkpoint_dir);
  v("export_dir", m.export_dir);
  v("cache_dir", m.cache_dir);
  v("checkpoints", m.checkpoints);
  v("resume", m.resume);
  v("cpus_per_rank", m.cpus_per_rank);
  v("lease_until_ns", m.lease_until_ns);
}

template <typename V, typename M>
void Visit(V& v, M& m) requires std::same_as<std::remove_const_t<M>, Stop> {
  v("checkpoint", m.checkpoint);
}

template <typename V, typename M>
void Visit(V&, M&) requires std::same_as<std::remove_const_t<M>, CheckpointNow> {}

template <typename V, typename M>
void Visit(V& v, M& m) requires std::same_as<std::remove_const_t<M>, Alive> {
  v("lease_until_ns", m.lease_until_ns);
}

template <typename V, typename M>
void Visit(V& v, M& m) requires std::same_as<std::remove_const_t<M>, Ready> {
  v("rank", m.rank);
  v("from_step", m.from_step);
}

template <typename V, typename M>
void Visit(V& v, M& m) requires std::same_as<std::remove_const_t<M>, Beat> {
  v("rank", m.rank);
  v("step", m.step);
  v("collective", m.collective);
  v("phase", m.phase);
  v("waiting", m.waiting);
  v("compute_seconds", m.compute_seconds);
}

template <typename V, typename M>
void Visit(V& v, M& m) requires std::same_as<std::remove_const_t<M>, Progress> {
  v("step", m.step);
  v("total_steps", m.total_steps);
  v("epoch", m.epoch);
  v("loss", m.loss);
  v("learning_rate", m.learning_rate);
  v("grad_norm", m.grad_norm);
  v("tokens_per_second", m.tokens_per_second);
  v("rows_per_second", m.rows_per_second);
  v("step_seconds", m.step_seconds);
  v("eta_seconds", m.eta_seconds);
  v("phase_seconds", m.phase_seconds);
  v.Newer("reduced_bytes", m.reduced_bytes);
  v.Newer("reduced_seconds", m.reduced_seconds);
  v("tokens_total", m.tokens_total);
  v("samples_total", m.samples_total);
}

template <typename V, typename M>
void Visit(V& v, M& m) requires std::same_as<std::remove_const_t<M>, EvalSample> {
  v("prompt", m.prompt);
  v("answer", m.answer);
  v("expected", m.expected);
  v("ended", m.ended);
}

template <typename V, typename M>
void Visit(V& v, M& m) requires std::same_as<std::remove_const_t<M>, Eval> {
  v("step", m.step);
  v("metrics", m.metrics);
  v("best", m.best);
  v.Newer("samples", m.samples);
}

template <typename V, typename M>
void Visit(V& v, M& m) requires std::same_as<std::remove_const_t<M>, Checkpoint> {
  v("step", m.step);
  v("path", m.path);
  v("state_digest", m.state_digest);
  v("size_bytes", m.size_bytes);
  v("write_seconds", m.write_seconds);
  v("best_step", m.best_step);
  v("keep", m.keep);
}

template <typename V, typename M>
void Visit(V& v, M& m) requires std::same_as<std::remove_const_t<M>, Warning> {
  v("message", m.message);
  v("code", m.code);
}

template <typename V, typename M>
void Visit(V& v, M& m) requires std::same_as<std::remove_const_t<M>, Done> {
  v("outcome", m.outcome);
  v("step", m.step);
  v("metrics", m.metrics);
  v("files", m.files);
}

template <typename V, typename M>
void Visit(V& v, M& m) requires std::same_as<std::remove_const_t<M>, Failed> {
  v("rank", m.rank);
  v("reason", m.reason);
  v("message", m.message);
  v("where", m.where);
  v("hint", m.hint);
  v("step", m.step);
  v("consequence", m.consequence);
}

template <typename V, typename M>
void Visit(V& v, M& m) requires std::same_as<std::remove_const_t<M>, Spawn> {
  v("id", m.id);
  v("arguments", m.arguments);
  v("environment", m.environment);
  v("fd_names", m.fd_names);
  v("uid", m.uid);
  v("gid", m.gid);
  v("working_dir", m.working_dir);
  v("nice", m.nice);
  v("memory_limit_bytes", m.memory_limit_bytes);
  v("threads", m.threads);
}

template <typename V, typename M>
void Visit(V& v, M& m) requires std::same_as<std::remove_const_t<M>, Spawned> {
  v("id", m.id);
  v("pid", m.pid);
  v("error", m.error);
}

template <typename V, typename M>
void Visit(V& v, M& m) requires std::same_as<std::remove_const_t<M>, Exited> {
  v("id", m.id);
  v("pid", m.pid);
  v("wait_status", m.wait_status);
  v("memory_peak_bytes", m.memory_peak_bytes);
}

struct Writer {
  json& object;

  template <typename M>
  static json ListOf(const std::vector<M>& messages) {
    json list = json::array();
    for (const M& message : messages) {
      Writer one{list.emplace_back(json::object())};
      Visit(one, message);
    }
    return list;
  }

  template <typename T>
  void operator()(const char* key, const T& value) {
    if constexpr (IsOptional<T>::value) {
      if (value) (*this)(key, *value);
    } else if constexpr (std::same_as<T, Done::Outcome>) {
      object[key] = OutcomeName(value);
    } else if constexpr (std::same_as<T, std::vector<CheckpointRef>> ||
                         std::same_as<T, std::vector<EvalSample>>) {
      object[key] = ListOf(value);
    } else {
      object[key] = value;
    }
  }

  // A list or map that engines of the same protocol, from before, do not know.
  template <typename T>
  void Newer(const char* key, const T& value) {
    if (!value.empty()) (*this)(key, value);
  }
};

// Reads one object; the first wrong field is kept in `error`.
struct Reader {
  const json& object;
  std::string error{};

  void Refuse(const char* key, std::string_view what) {
    if (error.empty()) error = std::string(key) + " " + std::string(what);
  }

  template <typename T>
  void operator()(const char* key, T& value) {
    const auto found = object.find(key);
    if constexpr (IsOptional<T>::value) {
      if (found == object.end() || found->is_null()) {
        value.reset();
      } else {
        Read(key, *found, value.emplace());
      }
    } else {
      if (found == object.end()) return Refuse(key, "is missing");
      Read(key, *found, value);
    }
  }
  template <typename T>
  void Newer(const char* key, T& value) {
    if (object.contains(key)) (*this)(key, value);
  }

  void Read(const char* key, const json& from, std::string& to) {
    if (!from.is_string()) return Refuse(key, "is not a string");
    to = from.get<std::string>();
  }
  void Read(const char* key, const json& from, bool& to) {
    if (!from.is_boolean()) return Refuse(key, "is not true or false");
    to = from.get<bool>();
  }
  void Read(const char* key, const json& from, double& to) {
    // JSON has no NaN: the writer leaves null.
    if (from.is_null()) {
      to = std::nan("");
    } else if (from.is_number()) {
      to = from.get<double>();
    } else {
      Refuse(key, "is not a number");
    }
  }
  void Read(const char* key, const json& from, json& to) {
    if (!from.is_object()) return Refuse(key, "is not an object");
    to = from;
  }
  template <std::integral T>
  void Read(const char* key, const json& from, T& to) {
    if (!from.is_number_integer()) return Refuse(key, "is not a whole number");
    const bool fits = from.is_number_unsigned() ? std::in_range<T>(from.get<std::uint64_t>())
                                                : std::in_range<T>(from.get<std::int64_t>());
    if (!fits) return Refuse(key, "is out of range");
    to = from.is_number_unsigned() ? static_cast<T>(from.get<std::uint64_t>())
                                   : static_cast<T>(from.get<std::int64_t>());
  }
  void Read(const char* key, const json& from, Done::Outcome& to) {
    for (const auto outcome : {Done::Outcome::kSucceeded, Done::Outcome::kReleased}) {
      if (from.is_string() && from.get_ref<const std::string&>() == OutcomeName(outcome)) {
        to = outcome;
        return;
      }
    }
    Refuse(key, "is no outcome");
  }
  template <typename M>
  void Read(const char* key, const json& from,
            M& to) requires std::same_as<M, CheckpointRef> || std::same_as<M, EvalSample> {
    if (!from.is_object()) return Refuse(key, "has something that is not an object");
    Reader one{from};
    Visit(one, to);
    if (!one.error.empty()) Refuse(key, one.error);
  }
  template <typename T>
  void Read(const char* key, const json& from, std::vector<T>& to) {
    if (!from.is_array()) return Refuse(key, "is not a list");
    to.clear();
    for (const json& element : from) Read(key, element, to.emplace_back());
  }
  template <typename T>
  void Read(const char* key, const json& from, std::map<std::string, T>& to) {
    if (!from.is_object()) return Refuse(key, "is not an object");
    to.clear();
    for (const auto& [name, element] : from.items()) Read(key, element, to[name]);
  }
};

template <typename M>
constexpr const char* kType = nullptr;
template <>
constexpr const char* kType<Plan> = "plan";
template <>
constexpr const char* kType<Stop> = "stop";
template <>
constexpr const char* kType<CheckpointNow> = "checkpoint_now";
template <>
constexpr const char* kType<Alive> = "alive";
template <>
constexpr const char* kType<Ready> = "ready";
template <>
constexpr const char* kType<Beat> = "beat";
template <>
constexpr const char* kType<Progress> = "progress";
template <>
constexpr const char* kType<Eval> = "eval";
template <>
constexpr const char* kType<Checkpoint> = "checkpoint";
template <>
constexpr const char* kType<Warning> = "warning";
template <>
constexpr const char* kType<Done> = "done";
template <>
constexpr const char* kType<Failed> = "failed";
template <>
constexpr const char* kType<Spawn> = "spawn";
template <>
constexpr const char* kType<Spawned> = "spawned";
template <>
constexpr const char* kType<Exited> = "exited";

// Text from outside may be no UTF-8: it is shown with replacement characters, never refused.
std::string Dump(const json& object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

template <typename M>
std::string EncodeOne(const M& message) {
  json object = {{"type", kType<M>}};
  Writer writer{object};
  Visit(writer, message);
  return Dump(object);
}

template <typename... Ms>
std::string EncodeAny(const std::variant<Ms...>& message) {
  return std::visit([](const auto& m) { return EncodeOne(m); }, message);
}

Result<json> ParseObject(std::string_view line) {
  if (line.size() > kMaxLineBytes) {
    return Fail(ErrorCode::kInvalid, "engine link: a message of " + std::to_string(line.size()) +
                                         " bytes is over the limit");
  }
  json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) {
    return Fail(ErrorCode::kInvalid, "engine link: a line is no JSON object");
  }
  const auto type = object.find("type");
  if (type == object.end() || !type->is_string()) {
    return Fail(ErrorCode::kInvalid, "engine link: a message has no type");
  }
  return object;
}

template <typename Any, typename M>
bool DecodeIf(const json& object, const std::string& type, Result<Any>& result) {
  if (type != kType<M>) return false;
  M message;
  Reader reader{object};
  Visit(reader, message);
  if (reader.error.empty()) {
    result = Any(std::move(message));
  } else {
    result = Fail(ErrorCode::kInvalid, "engine link: " + type + "." + reader.error);
  }
  return true;
}

template <typename... Ms>
Result<std::variant<Ms...>> DecodeAny(std::string_view line, std::variant<Ms...>*) {
  using Any = std::variant<Ms...>;
  TUTTI_ASSIGN_OR_RETURN(const json object, ParseObject(line));
  const std::string type = object.at("type").get<std::string>();
  Result<Any> result = Fail(ErrorCode::kInvalid, "engine link: unknown message '" + type + "'");
  static_cast<void>((DecodeIf<Any, Ms>(object, type, result) || ...));
  return result;
}

template <typename Any>
Result<Any> Decode(std::string_view line) {
  return DecodeAny(line, static_cast<Any*>(nullptr));
}

}  // namespace

std::string Encode(const ToEngine& message) { return EncodeAny(message) + '\n'; }
std::string Encode(const ToWorker& message) { return EncodeAny(message) + '\n'; }

Result<ToEngine> DecodeToEngine(std::string_view line) { return Decode<ToEngine>(line); }
Result<ToWorker> DecodeToWorker(std::string_view line) { return Decode<ToWorker>(line); }

Status LineBuffer::Append(std::string_view bytes) {
  buffer_.append(bytes);
  // Only an unfinished line can be too long to keep; whole ones are judged by Next's caller.
  const std::size_t last_end = buffer_.rfind('\n');
  const std::size_t open =
      last_end == std::string::npos ? buffer_.size() : buffer_.size() - last_end - 1;
  if (open > kMaxLineBytes) {
    return Fail(ErrorCode::kTooLarge,
                "engine link: a line is longer than " + std::to_string(kMaxLineBytes) + " bytes");
  }
  return {};
}

std::optional<std::string> LineBuffer::Next() {
  const std::size_t end = buffer_.find('\n', scanned_);
  if (end == std::string::npos) {
    scanned_ = buffer_.size();
    return std::nullopt;
  }
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  scanned_ = 0;
  return line;
}

std::string EncodePacket(const Spawn& spawn) { return EncodeOne(spawn); }
std::string EncodePacket(const std::variant<Spawned, Exited>& event) { return EncodeAny(event); }

Result<Spawn> DecodeSpawn(std::string_view packet) {
  TUTTI_ASSIGN_OR_RETURN(std::variant<Spawn> message, Decode<std::variant<Spawn>>(packet));
  return std::get<Spawn>(std::move(message));
}

Result<std::variant<Spawned, Exited>> DecodeZygoteEvent(std::string_view packet) {
  return Decode<std::variant<Spawned, Exited>>(packet);
}

}  // namespace tutti::enginelink
