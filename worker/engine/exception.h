// What people are told of an exception that nobody expected.
#pragma once

#include <exception>

#include "common/base/result.h"

namespace tutti::engine {

// kInternal with what it says; the backtrace that LibTorch adds goes to the log instead.
Error UnexpectedError(const std::exception& exception);

}  // namespace tutti::engine
