#include "worker/data/language_rows.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/check.h"
#include "common/base/words.h"
#include "jobs/spec/suggest.h"

namespace tutti::data {
namespace {

using OrderedJson = nlohmann::ordered_json;
using text::Conversation;
using text::Tokenizer;
using text::WeightedTokens;

constexpr double kWeightMax = 1e6;

// What other data sets call the roles of a conversation.
struct RoleName {
  std::string_view name;
  std::string_view role;
};
constexpr std::array kRoleNames = {
    RoleName{"system", "system"},       RoleName{"user", "user"},
    RoleName{"assistant", "assistant"}, RoleName{"tool", "tool"},
    RoleName{"human", "user"},          RoleName{"gpt", "assistant"},
    RoleName{"model", "assistant"},     RoleName{"chatgpt", "assistant"},
    RoleName{"bard", "assistant"},      RoleName{"bing", "assistant"},
    RoleName{"observation", "tool"},
};

// "" for a name that is none of them.
std::string_view RoleNamed(std::string_view name) {
  for (const RoleName& one : kRoleNames) {
    if (one.name == name) return one.role;
  }
  return "";
}

Unexpected Wrong(std::string what) { return Fail(ErrorCode::kInvalid, std::move(what)); }

// The value of a role; null where the row has none.
const OrderedJson& ValueOf(const Row& row, const RowsRequest& request, std::string_view role) {
  static const OrderedJson kNone = nullptr;
  const auto column = request.columns.by_role.find(role);
  TUTTI_CHECK(column != request.columns.by_role.end(), "no role ", role);
  const auto found = row.object.find(column->second);
  return found == row.object.end() ? kNone : *found;
}

// Text, "" for null where that is allowed.
Result<std::string> TextOf(const Row& row, const RowsRequest& request, std::string_view role,
                           bool required = true) {
  const OrderedJson& value = ValueOf(row, request, role);
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null() && !required) return std::string();
  return Wrong("'" + request.columns.by_role.find(role)->second + "' is not text");
}

OrderedJson Message(std::string_view role, OrderedJson content) {
  return {{"role", std::string(role)}, {"content", std::move(content)}};
}

// A message's own fields stay (tool_calls, name): templates may use them.
Result<OrderedJson> CheckedMessage(const OrderedJson& message, const std::string& where,
                                   std::optional<double>& weight) {
  if (!message.is_object()) return Wrong(where + " is not an object");
  const auto role = message.find("role");
  if (role == message.end() || !role->is_string()) return Wrong(where + " has no role");
  const auto content = message.find("content");
  const auto tool_calls = message.find("tool_calls");
  const bool calls = tool_calls != message.end() && !tool_calls->is_null();
  const bool is_text = content != message.end() && content->is_string();
  const bool is_parts = content != message.end() && content->is_array();
  const bool is_none = content == message.end() || content->is_null();
  if (!is_text && !is_parts && !(is_none && calls)) return Wrong(where + " has no content of text");
  OrderedJson checked = message;
  if (is_none) checked.erase("content");  // templates ask whether there is one
  const auto given = message.find("weight");
  if (given == message.end() || given->is_null()) return checked;
  checked.erase("weight");
  if (!given->is_number()) return Wrong(where + "'s weight is not a number");
  weight = given->get<double>();
  if (!(*weight >= 0) || *weight > kWeightMax) {
    return Wrong(where + "'s weight is " + given->dump() + ", not from 0 to 1,000,000");
  }
  if (*role != "assistant" && *weight > 0) {
    return Wrong(where + " is of role " + role->get<std::string>() +
                 " and has a weight: only what the assistant says is trained "
                 "(data.train_on_inputs trains all of it)");
  }
  return checked;
}

// `where` names a message with its number behind it.
Status AddMessages(const OrderedJson& messages, const std::string& column, const std::string& where,
                   Conversation& conversation) {
  if (!messages.is_array() || messages.empty()) {
    return Wrong("'" + column + "' is not a list of messages");
  }
  bool any = false;
  std::vector<double> weights;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    std::optional<double> weight;
    TUTTI_ASSIGN_OR_RETURN(OrderedJson message,
                           CheckedMessage(messages[i], where + std::to_string(i + 1), weight));
    conversation.messages.push_back(std::move(message));
    any = any || weight.has_value();
    weights.push_back(weight.value_or(1));
  }
  if (any) conversation.weights = std::move(weights);
  return {};
}

// In conversations where the assistant says nothing, one whose role another data set would call so:
// they would teach nothing.
Status CheckRoles(const Conversation& conversation) {
  std::optional<std::size_t> meant;
  for (std::size_t i = 0; i < conversation.messages.size(); ++i) {
    const auto& role = conversation.messages[i]["role"].get_ref<const std::string&>();
    if (role == "assistant") return {};
    if (!meant && RoleNamed(LowerCase(role)) == "assistant") meant = i;
  }
  if (!meant) return {};
  const auto role = conversation.messages[*meant]["role"].get<std::string>();
  return Wrong("message " + std::to_string(*meant + 1) + " is of role " + spec::Quoted(role) +
               ": what is trained is of role 'assistant' (format sharegpt knows other names)");
}

// A list of functions, as templates write them out, or null.
Result<OrderedJson> ToolsOf(const Row& row, const RowsRequest& request) {
  const OrderedJson& tools = ValueOf(row, request, "tools");
  if (tools.is_null() || tools.is_array()) return tools;
  return Wrong(tools.is_string()
                   ? "'tools' is text, not a list: write the list itself, not as a JSON string"
                   : "'tools' is not a list");
}

Result<Conversation> OfChat(const Row& row, const RowsRequest& request) {
  Conversation conversation;
  const std::string& column = request.columns.by_role.find("messages")->second;
  TUTTI_RETURN_IF_ERROR(
      AddMessages(ValueOf(row, request, "messages"), column, "message ", conversation));
  TUTTI_RETURN_IF_ERROR(CheckRoles(conversation));
  TUTTI_ASSIGN_OR_RETURN(conversation.tools, ToolsOf(row, request));
  return conversation;
}

// The instruction with its input below, as one question.
Result<Conversation> OfAlpaca(const Row& row, const RowsRequest& request) {
  TUTTI_ASSIGN_OR_RETURN(std::string question, TextOf(row, request, "instruction"));
  TUTTI_ASSIGN_OR_RETURN(const std::string input, TextOf(row, request, "input", false));
  TUTTI_ASSIGN_OR_RETURN(const std::string output, TextOf(row, request, "output"));
  if (!input.empty()) question += "\n\n" + input;
  Conversation conversation;
  conversation.messages.push_back(Message("user", question));
  conversation.messages.push_back(Message("assistant", output));
  return conversation;
}

Result<Conversation> OfShareGpt(const Row& row, const RowsRequest& request) {
  const OrderedJson& turns = ValueOf(row, request, "conversations");
  const std::string& column = request.columns.by_role.find("conversations")->second;
  if (!turns.is_array() || turns.empty()) return Wrong("'" + column + "' is not a list of turns");
  Conversation conversation;
  TUTTI_ASSIGN_OR_RETURN(const std::string system, TextOf(row, request, "system", false));
  if (!system.empty()) conversation.messages.push_back(Message("system", system));
  OrderedJson messages = OrderedJson::array();
  for (std::size_t i = 0; i < turns.size(); ++i) {
    const std::string where = "turn " + std::to_string(i + 1);
    const OrderedJson& turn = turns[i];
    if (!turn.is_object() || !turn.contains("from") || !turn["from"].is_string() ||
        !turn.contains("value") || !turn["value"].is_string()) {
      return Wrong(where + " is not {\"from\": text, \"value\": text}");
    }
    const auto& from = turn["from"].get_ref<const std::string&>();
    const std::string_view role = RoleNamed(from);
    if (role.empty()) {
      return Wrong(where + " is from " + spec::Quoted(from) +
                   ": known are human, gpt, system, tool and the roles of chat");
    }
    messages.push_back(Message(role, turn["value"]));
    if (turn.contains("weight")) messages.back()["weight"] = turn["weight"];
  }
  const std::size_t before = conversation.messages.size();
  TUTTI_RETURN_IF_ERROR(AddMessages(messages, column, "turn ", conversation));
  if (!conversation.weights.empty()) {
    conversation.weights.insert(conversation.weights.begin(), before, 1);
  }
  TUTTI_ASSIGN_OR_RETURN(conversation.tools, ToolsOf(row, request));
  return conversation;
}

void AddEnd(const std::optional<std::uint32_t>& end, WeightedTokens& tokens) {
  if (end && (tokens.ids.empty() || tokens.ids.back() != *end)) tokens.ids.push_back(*end);
  tokens.weights.resize(tokens.ids.size(), 1.0F);
}

struct PromptedIds {
  std::vector<std::uint32_t> ids;
  std::size_t prompt = 0;  // of them, the first
};

// As TRL: both are one text, and its first tokens those that the prompt has when an answer is asked
// for. Where these are others (a token lies across the border, or the tokenizer ends every text
// with one), the completion is tokenised alone if that says the same. It does not where a tokenizer
// puts a space before each text, or joins parts of words: then a token across is the completion's.
Result<PromptedIds> Prompted(const Tokenizer& tokenizer, std::string_view prompt,
                             std::string_view completion) {
  std::string text(prompt);
  text += completion;
  TUTTI_ASSIGN_OR_RETURN(text::Encoding first, tokenizer.Encode(prompt));
  TUTTI_ASSIGN_OR_RETURN(text::Encoding whole, tokenizer.Encode(text, {.offsets = true}));
  const std::size_t count = first.ids.size();
  if (whole.ids.size() >= count &&
      std::equal(first.ids.begin(), first.ids.end(), whole.ids.begin())) {
    return PromptedIds{.ids = std::move(whole.ids), .prompt = count};
  }
  TUTTI_ASSIGN_OR_RETURN(const text::Encoding second,
                         tokenizer.Encode(completion, {.add_special_tokens = false}));
  std::vector<std::uint32_t> apart = std::move(first.ids);
  apart.insert(apart.end(), second.ids.begin(), second.ids.end());
  TUTTI_ASSIGN_OR_RETURN(const std::string said, tokenizer.Decode(apart, /*skip_special=*/true));
  TUTTI_ASSIGN_OR_RETURN(const std::string meant,
                         tokenizer.Decode(whole.ids, /*skip_special=*/true));
  if (said == meant) return PromptedIds{.ids = std::move(apart), .prompt = count};
  const auto answer = std::ranges::find_if(
      whole.offsets, [&prompt](const text::ByteRange& at) { return at.to > prompt.size(); });
  return PromptedIds{.ids = std::move(whole.ids),
                     .prompt = static_cast<std::size_t>(answer - whole.offsets.begin())};
}

Result<WeightedTokens> OfPrompt(const Tokenizer& tokenizer, const LoadOptions& options,
                                std::string_view prompt, std::string_view completion) {
  TUTTI_ASSIGN_OR_RETURN(PromptedIds prompted, Prompted(tokenizer, prompt, completion));
  WeightedTokens tokens{.ids = std::move(prompted.ids)};
  tokens.weights.assign(prompted.prompt, options.train_on_inputs ? 1.0F : 0.0F);
  AddEnd(options.end_token, tokens);
  return tokens;
}

Result<WeightedTokens> OfText(const Tokenizer& tokenizer, const LoadOptions& options,
                              std::string_view text) {
  WeightedTokens tokens;
  TUTTI_ASSIGN_OR_RETURN(text::Encoding encoding, tokenizer.Encode(text));
  tokens.ids = std::move(encoding.ids);
  AddEnd(options.end_token, tokens);
  return tokens;
}

// Whether a side's messages have the question itself.
bool HasQuestion(const OrderedJson& side, const OrderedJson& prompt) {
  if (!side.is_array()) return false;
  if (prompt.is_array()) {
    return side.size() > prompt.size() && std::equal(prompt.begin(), prompt.end(), side.begin());
  }
  return std::ranges::any_of(side, [&prompt](const OrderedJson& message) {
    return message.is_object() && message.value("role", OrderedJson()) == "user" &&
           message.value("content", OrderedJson()) == prompt;
  });
}

// Both sides of a preference are texts or lists of messages; lists without a prompt begin alike.
Status CheckSides(const Row& row, const RowsRequest& request) {
  const OrderedJson& prompt = ValueOf(row, request, "prompt");
  const OrderedJson& chosen = ValueOf(row, request, "chosen");
  const OrderedJson& rejected = ValueOf(row, request, "rejected");
  if (!prompt.is_null() && !prompt.is_string() && !prompt.is_array()) {
    return Wrong("'prompt' is neither text nor a list of messages");
  }
  for (const auto& [name, side] :
       {std::pair("chosen", &chosen), std::pair("rejected", &rejected)}) {
    if (!side->is_string() && !side->is_array()) {
      return Wrong(spec::Quoted(name) + " is neither text nor a list of messages");
    }
    if (side->is_string() && prompt.is_array()) {
      return Wrong(spec::Quoted(name) +
                   " is text, 'prompt' a list of messages: all are of one kind");
    }
  }
  if (chosen.is_string() != rejected.is_string()) {
    return Wrong(
        "of 'chosen' and 'rejected' one is text, one a list of messages: both are of one kind");
  }
  if (chosen.is_array() && prompt.is_null() && chosen.size() > 1 && !rejected.empty() &&
      chosen[0] != rejected[0]) {
    return Wrong("'chosen' and 'rejected' answer different questions");
  }
  return {};
}

// One side of a preference. As lists of messages the prompt may be part of both sides: then all
// but the last message is the prompt.
Result<WeightedTokens> OfSide(const Row& row, const RowsRequest& request,
                              const LoadOptions& options, const Tokenizer& tokenizer,
                              std::string_view role) {
  const OrderedJson& prompt = ValueOf(row, request, "prompt");
  const OrderedJson& side = ValueOf(row, request, role);
  if (side.is_string()) {
    const std::string before = prompt.is_null() ? "" : prompt.get<std::string>();
    return OfPrompt(tokenizer, options, before, side.get_ref<const std::string&>());
  }
  Conversation conversation;
  const bool asks = !prompt.is_null() && !HasQuestion(side, prompt);
  if (asks && prompt.is_array()) {
    TUTTI_RETURN_IF_ERROR(AddMessages(prompt, "prompt", "'prompt', message ", conversation));
  } else if (asks) {
    conversation.messages.push_back(Message("user", prompt));
  }
  const std::size_t asked = conversation.messages.size();
  TUTTI_RETURN_IF_ERROR(
      AddMessages(side, std::string(role), "'" + std::string(role) + "', message ", conversation));
  if (conversation.messages.back().value("role", OrderedJson()) != "assistant") {
    return Wrong("'" + std::string(role) + "' does not end with what the assistant says");
  }
  // Answers within the prompt are context.
  conversation.weights.assign(conversation.messages.size(), 0);
  const std::size_t first = asked == 0 ? conversation.messages.size() - 1 : asked;
  for (std::size_t i = first; i < conversation.messages.size(); ++i) conversation.weights[i] = 1;
  TUTTI_CHECK(options.chat != nullptr, "conversations without a chat template");
  return text::TokenizeConversation(tokenizer, *options.chat, conversation,
                                    {.max_length = static_cast<std::size_t>(options.max_length)});
}

Result<std::vector<WeightedTokens>> TokenizeAny(const Row& row, const RowsRequest& request,
                                                const LoadOptions& options,
                                                const Tokenizer& tokenizer) {
  std::vector<WeightedTokens> all;
  if (request.format == RowFormat::kPreference) {
    TUTTI_RETURN_IF_ERROR(CheckSides(row, request));
    for (const char* role : {"chosen", "rejected"}) {
      TUTTI_ASSIGN_OR_RETURN(WeightedTokens side, OfSide(row, request, options, tokenizer, role));
      all.push_back(std::move(side));
    }
  } else if (IsConversation(request.format)) {
    TUTTI_CHECK(options.chat != nullptr, "conversations without a chat template");
    TUTTI_ASSIGN_OR_RETURN(const Conversation conversation, ConversationOf(row, request));
    TUTTI_ASSIGN_OR_RETURN(
        WeightedTokens tokens,
        text::TokenizeConversation(tokenizer, *options.chat, conversation,
                                   {.train_on_inputs = options.train_on_inputs,
                                    .max_length = static_cast<std::size_t>(options.max_length)}));
    all.push_back(std::move(tokens));
  } else if (request.format == RowFormat::kPromptCompletion) {
    TUTTI_ASSIGN_OR_RETURN(WeightedTokens tokens,
                           OfPrompt(tokenizer, options, row.text, row.label->text));
    all.push_back(std::move(tokens));
  } else {
    TUTTI_ASSIGN_OR_RETURN(WeightedTokens tokens, OfText(tokenizer, options, row.text));
    all.push_back(std::move(tokens));
  }
  return all;
}

}  // namespace

Result<Conversation> ConversationOf(const Row& row, const RowsRequest& request) {
  switch (request.format) {
    case RowFormat::kChat:
      return OfChat(row, request);
    case RowFormat::kAlpaca:
      return OfAlpaca(row, request);
    case RowFormat::kShareGpt:
      return OfShareGpt(row, request);
    case RowFormat::kTextLabel:
    case RowFormat::kText:
    case RowFormat::kPromptCompletion:
    case RowFormat::kPreference:
      break;
  }
  return Fail(ErrorCode::kInternal, "no format of conversations");
}

Result<std::vector<WeightedTokens>> TokenizeLanguageRow(const Row& row, const RowsRequest& request,
                                                        const LoadOptions& options,
                                                        const Tokenizer& tokenizer) {
  TUTTI_ASSIGN_OR_RETURN(std::vector<WeightedTokens> all,
                         TokenizeAny(row, request, options, tokenizer));
  for (const WeightedTokens& tokens : all) {
    if (tokens.ids.size() < 2) return Wrong("the text has no token to predict");
  }
  return all;
}

}  // namespace tutti::data
