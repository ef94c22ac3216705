// The table of routes: one row says what a route matches, what it takes, how it is documented and
// who handles it. Filled before the server starts, read-only and thread-safe from then on.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/base/units.h"
#include "scheduler/http/message.h"
#include "scheduler/http/responder.h"

namespace tutti::http {

using Handler = std::function<void(Request, Responder)>;

enum class Body : std::uint8_t {
  kNone,  // whatever comes is read (4 KiB at most) and dropped
  kJson,  // parsed and checked: Request.body and Request.json
  kText,  // JSON that the handler reads itself: Request.body, as it came
  kFile,  // streamed to a file of ServerOptions.spool_dir: Request.file
};
enum class RunOn : std::uint8_t {
  kIo,    // on an I/O thread: the handler must not block
  kPool,  // on the server's few threads for file work
};

struct Route {
  Method method = Method::kGet;
  // "/api/v1/jobs/{job}"; a last part "{path...}" takes the rest, slashes too, or nothing after
  // a slash. A parameter is one
  // part of the path as sent, then decoded: it may hold a "/" that came as %2F.
  std::string path = {};
  std::string summary = {};         // one line
  std::string request_schema = {};  // JSON Schema of a kJson or kText body, as JSON text; "" = none
  std::string response_schema = {};  // of the successful answer; "" = not JSON
  std::string response_type = "application/json";
  std::vector<std::string> query = {};  // names of the query parameters it reads
  int status = 200;                     // of success
  Access access = Access::kUndeclared;  // the least scope that may call it
  bool workers = false;                 // and workers with their own tokens
  Body body = Body::kNone;
  Bytes body_max{1 << 20};
  RunOn run_on = RunOn::kIo;
  Handler handler = nullptr;
};

struct RouteMatch {
  const Route* route = nullptr;
  Fields params;
};

class Router {
 public:
  // TUTTI_CHECKs that the template is well formed and new, that there is a handler, and that the
  // schemas are JSON.
  void Add(Route route);
  // A schema that others refer to as {"$ref": "#/components/schemas/NAME"}.
  void AddSchema(std::string name, std::string json);

  // `path` is as sent (percent-encoded, no query). Words of a template win over parameters. HEAD
  // falls back to GET. kNotFound; kInvalid for bad percent-encodings and for "." and "..";
  // kUnsupported when the path exists with other methods (hint = value for Allow).
  Result<RouteMatch> Find(Method method, std::string_view path) const;

  const std::vector<Route>& routes() const { return routes_; }
  const std::map<std::string, std::string>& schemas() const { return schemas_; }

 private:
  struct Compiled {
    std::vector<std::string> parts;  // "{}" = one part, "{...}" = the rest
    std::vector<std::string> names;
  };
  static Compiled Compile(std::string_view path);

  std::vector<Route> routes_;
  std::vector<Compiled> compiled_;  // one a route
  std::map<std::string, std::string> schemas_;
};

// The OpenAPI 3.1 document of the table, as JSON text.
std::string OpenApiDocument(const Router& router, std::string_view title, std::string_view version);

}  // namespace tutti::http
