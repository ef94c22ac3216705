#include "scheduler/http/access.h"

namespace tutti::http {

std::string_view ToString(Scope scope) {
  switch (scope) {
    case Scope::kWorker:
      return "worker";
    case Scope::kViewer:
      return "viewer";
    case Scope::kSubmitter:
      return "submitter";
    case Scope::kAdmin:
      return "admin";
  }
  return "";
}

std::optional<Scope> ParseScope(std::string_view text) {
  for (const Scope scope : {Scope::kViewer, Scope::kSubmitter, Scope::kAdmin}) {
    if (ToString(scope) == text) return scope;
  }
  return std::nullopt;
}

std::string_view ToString(Access access) {
  switch (access) {
    case Access::kOpen:
      return "none";
    case Access::kViewer:
      return "viewer";
    case Access::kSubmitter:
      return "submitter";
    case Access::kUndeclared:
    case Access::kAdmin:
      return "admin";
  }
  return "";
}

bool Suffices(Scope scope, Access access, bool workers) {
  if (access == Access::kOpen) return true;
  switch (scope) {
    case Scope::kWorker:
      return workers;
    case Scope::kViewer:
      return access == Access::kViewer;
    case Scope::kSubmitter:
      return access == Access::kViewer || access == Access::kSubmitter;
    case Scope::kAdmin:
      return true;
  }
  return false;
}

}  // namespace tutti::http
