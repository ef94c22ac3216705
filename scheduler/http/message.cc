#include "scheduler/http/message.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <nlohmann/json.hpp>
#include <system_error>

#include "common/base/check.h"

namespace tutti::http {
namespace {

using nlohmann::json;

constexpr std::array<std::pair<Method, std::string_view>, 6> kMethods = {{
    {Method::kGet, "GET"},
    {Method::kHead, "HEAD"},
    {Method::kPost, "POST"},
    {Method::kPut, "PUT"},
    {Method::kPatch, "PATCH"},
    {Method::kDelete, "DELETE"},
}};

json ErrorJson(const Error& error) {
  json value = {{"code", ToString(error.code)}, {"message", error.message}};
  if (!error.where.empty()) value["where"] = error.where;
  if (!error.hint.empty()) value["hint"] = error.hint;
  return value;
}

}  // namespace

std::string_view ToString(Method method) {
  for (const auto& [known, name] : kMethods) {
    if (known == method) return name;
  }
  return "GET";
}

std::optional<Method> ParseMethod(std::string_view text) {
  for (const auto& [method, name] : kMethods) {
    if (name == text) return method;
  }
  return std::nullopt;
}

std::optional<std::string_view> Find(const Fields& fields, std::string_view name) {
  for (const auto& [known, value] : fields) {
    if (known == name) return value;
  }
  return std::nullopt;
}

SpooledFile::SpooledFile(SpooledFile&& other) noexcept
    : path_(std::exchange(other.path_, {})), size_(other.size_), digest_(other.digest_) {}

SpooledFile& SpooledFile::operator=(SpooledFile&& other) noexcept {
  std::swap(path_, other.path_);
  size_ = other.size_;
  digest_ = other.digest_;
  return *this;
}

SpooledFile::~SpooledFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

const std::string& Request::Param(std::string_view name) const {
  const auto found = std::ranges::find(params, name, &Fields::value_type::first);
  TUTTI_CHECK(found != params.end(), "the route ", route, " has no parameter ", name);
  return found->second;
}

Result<std::uint64_t> Request::QueryNumber(std::string_view name, std::uint64_t missing) const {
  const auto text = Query(name);
  if (!text) return missing;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc{} || end != text->data() + text->size()) {
    return Fail(ErrorCode::kInvalid, "'" + std::string(*text) + "' is no whole number",
                std::string(name));
  }
  return number;
}

Result<bool> Request::QueryFlag(std::string_view name) const {
  const auto text = Query(name);
  if (!text || *text == "false" || *text == "0") return false;
  if (*text == "true" || *text == "1") return true;
  return Fail(ErrorCode::kInvalid, "'" + std::string(*text) + "' is neither true nor false",
              std::string(name));
}

std::string_view StatusText(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 416:
      return "Range Not Satisfiable";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 507:
      return "Insufficient Storage";
    default:
      return "Status";
  }
}

int StatusOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid:
    case ErrorCode::kUnsupported:
      return 422;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kConflict:
      return 409;
    case ErrorCode::kAuth:
      return 401;
    case ErrorCode::kQuota:
      return 429;
    case ErrorCode::kTooLarge:
      return 413;
    case ErrorCode::kUnavailable:
      return 503;
    case ErrorCode::kTimeout:
      return 504;
    case ErrorCode::kDiskFull:
      return 507;
    case ErrorCode::kIo:
    case ErrorCode::kInternal:
      return 500;
  }
  return 500;
}

Response Text(int status, std::string text, std::string content_type) {
  return {.status = status,
          .headers = {{"content-type", std::move(content_type)}},
          .body = std::move(text)};
}

Response Json(int status, const json& value) {
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  text.push_back('\n');
  return Text(status, std::move(text), "application/json");
}

Response ErrorResponse(const Error& error) { return ErrorResponse(StatusOf(error.code), error); }

Response ErrorResponse(int status, const Error& error) {
  return Json(status, {{"error", ErrorJson(error)}});
}

Response ErrorResponse(const std::vector<Error>& errors) {
  TUTTI_CHECK(!errors.empty(), "an error response without an error");
  json first = ErrorJson(errors.front());
  json all = json::array();
  for (const Error& error : errors) all.push_back(ErrorJson(error));
  first["errors"] = std::move(all);
  return Json(StatusOf(errors.front().code), {{"error", std::move(first)}});
}

Response File(const std::filesystem::path& path, std::string content_type, std::string etag) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return ErrorResponse(ErrnoError("cannot open", path.filename().string(), errno));
  struct stat stat {};
  if (::fstat(fd.get(), &stat) != 0 || !S_ISREG(stat.st_mode)) {
    return ErrorResponse(Error{ErrorCode::kNotFound, "not a file", path.filename().string()});
  }
  return {.headers = {{"content-type", std::move(content_type)}},
          .body = FileBody{std::move(fd), Bytes{stat.st_size}, std::move(etag)}};
}

}  // namespace tutti::http
