// Rows of a language model as tokens and how much each counts: texts, prompts with completions,
// conversations, and pairs to prefer one of. For worker/data only. Pure functions.
#pragma once

#include <vector>

#include "common/base/result.h"
#include "worker/data/dataset.h"
#include "worker/data/rows.h"
#include "worker/text/chat_format.h"

namespace tutti::data {

// One, or of a preference two: the chosen, then the rejected answer, each behind the prompt.
// kInvalid: what is wrong with the row.
Result<std::vector<text::WeightedTokens>> TokenizeLanguageRow(const Row& row,
                                                              const RowsRequest& request,
                                                              const LoadOptions& options,
                                                              const text::Tokenizer& tokenizer);

// The conversation of a row of format chat, alpaca or sharegpt: roles are system, user, assistant
// or tool, contents as they are. kInvalid names the message.
Result<text::Conversation> ConversationOf(const Row& row, const RowsRequest& request);

}  // namespace tutti::data
