// An answer of a language model on the terminal while it is written. One thread.
#pragma once

#include <string>

#include "jobs/cli/commands.h"

namespace tutti::cli {

// Asks for one text and prints its answer piece by piece (labels, where the model is a classifier).
// Ctrl-C ends it, and the model's work. Returns an exit code.
int TryStreaming(Context& context, const TryOptions& options, const std::string& text);

// Labels with bars, or the texts that continue one.
std::string AnswerText(const nlohmann::json& answers, bool color);
// What the coordinator is asked about texts.
nlohmann::json TryBody(const TryOptions& options, const std::vector<std::string>& texts);

}  // namespace tutti::cli
