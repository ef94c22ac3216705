#include "worker/engine/exception.h"

#include <c10/util/Exception.h>

#include "common/base/log.h"

namespace tutti::engine {

Error UnexpectedError(const std::exception& exception) {
  const auto* torch = dynamic_cast<const c10::Error*>(&exception);
  if (torch == nullptr) return {ErrorCode::kInternal, exception.what()};
  Log(kError, "exception", {{"what", torch->what()}});
  return {ErrorCode::kInternal, torch->what_without_backtrace()};
}

}  // namespace tutti::engine
