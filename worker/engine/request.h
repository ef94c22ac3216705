// What a tool is asked and answers: one JSON object in, one out. Free functions; one thread.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "worker/engine/exit_codes.h"

namespace tutti::engine {

// The object of a request's file (it may be a pipe). kInvalid names what is wrong with it.
Result<nlohmann::json> ReadRequest(const std::string& path);

// Members of a request; where = "#/name". kInvalid when one is missing or of another kind; null
// counts as missing.
Result<std::string> RequiredText(const nlohmann::json& request, const char* name);
Result<std::optional<std::string>> OptionalText(const nlohmann::json& request, const char* name);
Result<std::optional<std::int64_t>> OptionalCount(const nlohmann::json& request, const char* name);
Result<std::vector<std::string>> RequiredTexts(const nlohmann::json& request, const char* name);

// {"error": {"code", "message", "where", "hint"}}.
nlohmann::json ErrorAnswer(const Error& error);
// Writes the answer or the error as one line; the tool's exit status: kExitData for the input's
// fault, kExitInternal for other errors.
ExitCode WriteAnswer(const Result<nlohmann::json>& answer, std::ostream& out);
// The same for people: as JSON on stdout, or an error in words on stderr.
ExitCode WriteByHand(const Result<nlohmann::json>& answer, bool as_json);

}  // namespace tutti::engine
