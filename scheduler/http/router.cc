#include "scheduler/http/router.h"

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/check.h"
#include "scheduler/http/uri.h"

namespace tutti::http {
namespace {

constexpr std::string_view kOne = "{}";
constexpr std::string_view kRest = "{...}";

// "/a//b" → {"a", "", "b"}; "/" → {}.
std::vector<std::string_view> Split(std::string_view path) {
  std::vector<std::string_view> parts;
  if (!path.empty()) path.remove_prefix(1);
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    parts.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
    if (path.empty()) parts.emplace_back();
  }
  return parts;
}

// Whether `parts` (decoded) fit, by words, {} and {...}.
bool Fits(const std::vector<std::string>& pattern, const std::vector<std::string>& parts) {
  const bool rest = !pattern.empty() && pattern.back() == kRest;
  if (rest ? parts.size() < pattern.size() : parts.size() != pattern.size()) return false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == kRest) return true;
    if (parts[i].empty()) return false;
    if (pattern[i] != kOne && pattern[i] != parts[i]) return false;
  }
  return true;
}

// Words before parameters before the rest, at the first part where two patterns differ.
bool MoreExact(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  const auto rank = [](const std::string& part) {
    return part == kRest ? 2 : part == kOne ? 1 : 0;
  };
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (rank(a[i]) != rank(b[i])) return rank(a[i]) < rank(b[i]);
  }
  return a.size() > b.size();
}

Result<std::vector<std::string>> DecodeParts(std::string_view path) {
  if (path.empty() || path.front() != '/') {
    return Fail(ErrorCode::kInvalid, "the path does not start with a slash", std::string(path));
  }
  std::vector<std::string> decoded;
  for (const std::string_view part : Split(path)) {
    Result<std::string> text = PercentDecode(part);
    if (!text) return Fail(std::move(text).error());
    if (*text == "." || *text == "..") {
      return Fail(ErrorCode::kInvalid, "the path has '.' or '..' in it", std::string(path));
    }
    decoded.push_back(*std::move(text));
  }
  return decoded;
}

}  // namespace

Router::Compiled Router::Compile(std::string_view path) {
  TUTTI_CHECK(!path.empty() && path.front() == '/', "route ", path);
  Compiled compiled;
  const std::vector<std::string_view> parts = Split(path);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::string_view part = parts[i];
    if (part.empty() || part.front() != '{') {
      TUTTI_CHECK(!part.empty() && part.find_first_of("{}%") == std::string_view::npos, "route ",
                  path);
      compiled.parts.emplace_back(part);
      continue;
    }
    TUTTI_CHECK(part.size() > 2 && part.back() == '}', "route ", path);
    part = part.substr(1, part.size() - 2);
    const bool rest = part.ends_with("...");
    TUTTI_CHECK(!rest || i + 1 == parts.size(), "route ", path, " goes on after the rest");
    if (rest) part.remove_suffix(3);
    compiled.parts.emplace_back(rest ? kRest : kOne);
    compiled.names.emplace_back(part);
  }
  return compiled;
}

void Router::Add(Route route) {
  TUTTI_CHECK(route.handler != nullptr, "route ", route.path, " has no handler");
  TUTTI_CHECK(!route.summary.empty(), "route ", route.path, " has no summary");
  for (const std::string* schema : {&route.request_schema, &route.response_schema}) {
    TUTTI_CHECK(schema->empty() || nlohmann::json::accept(*schema), "route ", route.path,
                " has a schema that is no JSON");
  }
  Compiled compiled = Compile(route.path);
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    TUTTI_CHECK(routes_[i].method != route.method || compiled_[i].parts != compiled.parts, "route ",
                route.path, " is there twice");
  }
  compiled_.push_back(std::move(compiled));
  routes_.push_back(std::move(route));
}

void Router::AddSchema(std::string name, std::string json) {
  TUTTI_CHECK(nlohmann::json::accept(json), "schema ", name, " is no JSON");
  const bool added = schemas_.emplace(std::move(name), std::move(json)).second;
  TUTTI_CHECK(added, "a schema is there twice");
}

Result<RouteMatch> Router::Find(Method method, std::string_view path) const {
  TUTTI_ASSIGN_OR_RETURN(const std::vector<std::string> parts, DecodeParts(path));
  const std::vector<std::string>* best = nullptr;
  for (const Compiled& compiled : compiled_) {
    if (Fits(compiled.parts, parts) && (best == nullptr || MoreExact(compiled.parts, *best))) {
      best = &compiled.parts;
    }
  }
  if (best == nullptr)
    return Fail(ErrorCode::kNotFound, "there is no such path", std::string(path));

  std::size_t found = routes_.size();
  std::string allowed;
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    if (compiled_[i].parts != *best) continue;
    const Method has = routes_[i].method;
    if (has == method ||
        (has == Method::kGet && method == Method::kHead && found == routes_.size())) {
      found = i;
    }
    allowed += (allowed.empty() ? "" : ", ") + std::string(ToString(has));
  }
  if (found == routes_.size()) {
    return Fail(ErrorCode::kUnsupported, "the path does not take " + std::string(ToString(method)),
                std::string(path), allowed);
  }

  RouteMatch match{.route = &routes_[found], .params = {}};
  std::size_t name = 0;
  for (std::size_t i = 0; i < best->size(); ++i) {
    const std::string& part = (*best)[i];
    if (part == kOne) {
      match.params.emplace_back(compiled_[found].names[name++], parts[i]);
    } else if (part == kRest) {
      std::string rest;
      const bool nothing = parts.size() == i + 1 && parts[i].empty();  // "/files/"
      for (std::size_t k = i; k < parts.size() && !nothing; ++k) {
        if (parts[k].empty() || parts[k].find_first_of("/\\") != std::string::npos) {
          return Fail(ErrorCode::kInvalid, "the path has an odd part", std::string(path));
        }
        rest += (k == i ? "" : "/") + parts[k];
      }
      match.params.emplace_back(compiled_[found].names[name++], std::move(rest));
    }
  }
  return match;
}

}  // namespace tutti::http
