// The table of model families (model.cc).
#pragma once

#include <string>

#include "worker/model/config.h"

namespace tutti::model {

// "bert, gpt2, …": the values of model_type that can have this head, in order.
std::string SupportedFamilies(Head head);

}  // namespace tutti::model
