#include "worker/text/chat_format.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "worker/text/chat_template.h"
#include "worker/text/token_files.h"

namespace tutti::text {
namespace {

using OrderedJson = nlohmann::ordered_json;

// Whether the source has the tag {% generation %}, with or without whitespace control.
bool MarksAnswers(std::string_view source) {
  for (std::size_t at = source.find("{%"); at != source.npos; at = source.find("{%", at + 2)) {
    std::string_view tag = source.substr(at + 2);
    if (tag.starts_with('-') || tag.starts_with('+')) tag.remove_prefix(1);
    const std::size_t word = tag.find_first_not_of(" \t\r\n");
    if (word == tag.npos) continue;
    tag.remove_prefix(word);
    if (!tag.starts_with("generation")) continue;
    tag.remove_prefix(std::string_view("generation").size());
    if (tag.find_first_of(" \t\r\n-+%") == 0) return true;
  }
  return false;
}

// These classes have no special token that tokenizer_config.json does not name. Others have some of
// their own, which are those of config.json's ids.
bool MayHaveOwnTokens(const OrderedJson& config) {
  if (!config.is_object()) return true;
  const OrderedJson name = config.value("tokenizer_class", OrderedJson());
  return name != "PreTrainedTokenizerFast" && name != "TokenizersBackend";
}

OrderedJson WithoutNull(const OrderedJson& object) {
  OrderedJson kept = OrderedJson::object();
  for (const auto& [key, value] : object.items()) {
    if (!value.is_null()) kept[key] = value;
  }
  return kept;
}

// The texts of special tokens, as Transformers hands them to templates.
Status ReadVariables(const std::filesystem::path& directory, const Tokenizer& tokenizer,
                     OrderedJson& variables) {
  TUTTI_ASSIGN_OR_RETURN(TokenFiles files, ReadTokenFiles(directory));
  variables = std::move(files.special);
  const SpecialTokens& special = tokenizer.special();
  for (const auto& [key, id] : {std::pair("bos_token", special.bos), {"eos_token", special.eos}}) {
    if (!id || variables.contains(key) || !MayHaveOwnTokens(files.config)) continue;
    TUTTI_ASSIGN_OR_RETURN(variables[key], tokenizer.Decode({&*id, 1}, /*skip_special=*/false));
  }
  variables = WithoutNull(variables);
  return {};
}

std::string_view FittingBuiltIn(const ChatFormatOptions& options) {
  const auto has = [&](std::string_view token) {
    return options.tokenizer.IdOf(token).has_value();
  };
  if (has("<|im_start|>") && has("<|im_end|>")) return "chatml";
  if (has("<|start_header_id|>") && has("<|eot_id|>")) return "llama-3";
  if (has("<start_of_turn>") && has("<end_of_turn>")) return "gemma";
  if (options.model_type == "mistral" || has("[INST]")) return "mistral";
  return "zephyr";
}

Unexpected NoSuchBuiltIn(const std::string& name) {
  std::string known;
  for (const std::string_view one : BuiltInTemplateNames()) {
    known += (known.empty() ? "" : ", ") + std::string(one);
  }
  return Fail(ErrorCode::kInvalid, "there is no built-in chat template '" + name + "'",
              "data.chat_template", "one of " + known + "; or leave it out");
}

// A template that cannot be compiled, or calls what does not exist, fails on every row: said once.
// What it raises itself may be about this conversation alone.
Status TryOut(const ChatFormat& format, const std::string& where) {
  const OrderedJson messages = OrderedJson::array(
      {{{"role", "user"}, {"content", "Hello"}}, {{"role", "assistant"}, {"content", "Hello"}}});
  const auto rendered =
      RenderChat(format.source, {.messages = messages, .variables = format.variables});
  if (rendered || rendered.error().message.starts_with("TemplateError: ")) return {};
  return Fail(rendered.error().code, rendered.error().message, where,
              "data.chat_template names a built-in to use instead");
}

bool UsesToolsSource(const ChatFormat& format, const Conversation& conversation) {
  return format.tools_source && !conversation.tools.is_null();
}

bool MarksAnswersOf(const ChatFormat& format, const Conversation& conversation) {
  return UsesToolsSource(format, conversation) ? format.tools_mark_answers : format.marks_answers;
}

// A message as apply_chat_template hands it on. Our own templates read its content, given or not.
OrderedJson Handed(const OrderedJson& message, bool own) {
  OrderedJson handed = WithoutNull(message);
  if (!own && !handed.contains("content")) handed["content"] = "";
  return handed;
}

Result<RenderedChat> RenderAll(const ChatFormat& format, const OrderedJson& messages,
                               const Conversation& conversation, bool prompt) {
  OrderedJson handed = OrderedJson::array();
  for (const OrderedJson& message : messages) handed.push_back(Handed(message, format.is_own()));
  return RenderChat(UsesToolsSource(format, conversation) ? *format.tools_source : format.source,
                    {.messages = std::move(handed),
                     .tools = conversation.tools,
                     .add_generation_prompt = prompt,
                     .variables = format.variables});
}

Result<std::string> Render(const ChatFormat& format, const OrderedJson& messages,
                           const Conversation& conversation, bool prompt) {
  TUTTI_ASSIGN_OR_RETURN(RenderedChat chat, RenderAll(format, messages, conversation, prompt));
  return std::move(chat.text);
}

bool IsAnswer(const OrderedJson& message) {
  const auto role = message.find("role");
  return role != message.end() && *role == "assistant";
}

std::vector<std::size_t> AnswersOf(const OrderedJson& messages) {
  std::vector<std::size_t> answers;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (IsAnswer(messages[i])) answers.push_back(i);
  }
  return answers;
}

Unexpected CannotTellApart(std::size_t message) {
  return Fail(ErrorCode::kInvalid,
              "the chat template writes the turns before message " + std::to_string(message + 1) +
                  " differently once more follow: what the assistant said cannot be told apart",
              {},
              "mark it with {% generation %} in the template, or set data.chat_template to a "
              "built-in one, or data.train_on_inputs: true");
}

Result<RenderedAnswers> ByMarks(const ChatFormat& format, const Conversation& conversation) {
  TUTTI_ASSIGN_OR_RETURN(RenderedChat chat,
                         RenderAll(format, conversation.messages, conversation, /*prompt=*/false));
  RenderedAnswers rendered{.text = std::move(chat.text)};
  const std::vector<std::size_t> answers = AnswersOf(conversation.messages);
  const bool each = answers.size() == chat.assistant_spans.size();
  if (!each && !conversation.weights.empty()) {
    return Fail(ErrorCode::kInvalid,
                "the chat template marks " + std::to_string(chat.assistant_spans.size()) +
                    " answers and the row has " + std::to_string(answers.size()) +
                    ": weights of messages cannot be told apart");
  }
  for (std::size_t i = 0; i < chat.assistant_spans.size(); ++i) {
    rendered.answers.push_back({chat.assistant_spans[i], each ? answers[i] : 0});
  }
  return rendered;
}

// Adds the answers that begin before byte `limit` of the rendered text. Each costs two prefixes:
// those of all would take time with the square of their number.
Status AddByPrefixes(const ChatFormat& format, const Conversation& conversation, std::size_t limit,
                     RenderedAnswers& rendered) {
  const OrderedJson& messages = conversation.messages;
  OrderedJson shown = OrderedJson::array();
  for (std::size_t message = 0; message < messages.size(); ++message) {
    if (!IsAnswer(messages[message])) {
      shown.push_back(messages[message]);
      continue;
    }
    TUTTI_ASSIGN_OR_RETURN(const std::string before,
                           Render(format, shown, conversation, /*prompt=*/true));
    if (!rendered.text.starts_with(before)) return CannotTellApart(message);
    if (before.size() >= limit) break;
    shown.push_back(messages[message]);
    std::string with = rendered.text;
    if (message + 1 < messages.size()) {
      TUTTI_ASSIGN_OR_RETURN(with, Render(format, shown, conversation, /*prompt=*/false));
    }
    if (!rendered.text.starts_with(with) || !with.starts_with(before)) {
      return CannotTellApart(message);
    }
    rendered.answers.push_back({{before.size(), with.size()}, message});
  }
  return {};
}

}  // namespace

Result<ChatFormat> ChooseChatFormat(const ChatFormatOptions& options) {
  ChatFormat format;
  TUTTI_RETURN_IF_ERROR(
      ReadVariables(options.model_directory, options.tokenizer, format.variables));
  std::string where = options.model_directory.string();
  if (options.wanted) {
    format.name = *options.wanted;
  } else {
    TUTTI_ASSIGN_OR_RETURN(std::optional<ChatTemplates> own,
                           LoadChatTemplates(options.model_directory));
    format.name = own ? "own" : FittingBuiltIn(options);
    if (own) format.source = std::move(own->base);
    if (own) format.tools_source = std::move(own->tools);
  }
  if (!format.is_own()) {
    const auto source = BuiltInTemplate(format.name);
    if (!source) return NoSuchBuiltIn(format.name);
    format.source = *source;
    where = "built-in chat template " + format.name;
  }
  format.marks_answers = MarksAnswers(format.source);
  format.tools_mark_answers = format.tools_source && MarksAnswers(*format.tools_source);
  TUTTI_RETURN_IF_ERROR(TryOut(format, where));
  return format;
}

Result<std::string> RenderPrompt(const ChatFormat& format, const Conversation& conversation) {
  return Render(format, conversation.messages, conversation, /*prompt=*/true);
}

Result<RenderedAnswers> RenderAnswers(const ChatFormat& format, const Conversation& conversation) {
  if (MarksAnswersOf(format, conversation)) return ByMarks(format, conversation);
  RenderedAnswers rendered;
  TUTTI_ASSIGN_OR_RETURN(rendered.text, Render(format, conversation.messages, conversation,
                                               /*prompt=*/false));
  TUTTI_RETURN_IF_ERROR(AddByPrefixes(format, conversation, rendered.text.size(), rendered));
  return rendered;
}

Result<WeightedTokens> TokenizeConversation(const Tokenizer& tokenizer, const ChatFormat& format,
                                            const Conversation& conversation,
                                            const ConversationOptions& options) {
  // Where all of it counts alike, nothing has to be told apart.
  const bool apart = !options.train_on_inputs || !conversation.weights.empty();
  const bool marks = MarksAnswersOf(format, conversation);
  RenderedAnswers rendered;
  if (apart && marks) {
    TUTTI_ASSIGN_OR_RETURN(rendered, ByMarks(format, conversation));
  } else {
    TUTTI_ASSIGN_OR_RETURN(rendered.text, Render(format, conversation.messages, conversation,
                                                 /*prompt=*/false));
  }
  TUTTI_ASSIGN_OR_RETURN(
      Encoding encoding,
      tokenizer.Encode(rendered.text, {.add_special_tokens = false, .offsets = apart}));
  if (apart && !marks) {
    std::size_t limit = 0;
    const std::size_t used = std::min(options.max_length, encoding.offsets.size());
    for (std::size_t i = 0; i < used; ++i) limit = std::max(limit, encoding.offsets[i].to);
    TUTTI_RETURN_IF_ERROR(AddByPrefixes(format, conversation, limit, rendered));
  }
  WeightedTokens tokens{.ids = std::move(encoding.ids)};
  tokens.weights.assign(tokens.ids.size(), options.train_on_inputs ? 1.0F : 0.0F);
  if (rendered.answers.empty()) return tokens;
  // As Transformers' return_assistant_tokens_mask: a token that has a character of an answer is the
  // assistant's. Answers and tokens ascend.
  std::size_t at = 0;
  for (std::size_t i = 0; i < tokens.ids.size(); ++i) {
    const ByteRange token = encoding.offsets[i];
    while (at < rendered.answers.size() && rendered.answers[at].range.to <= token.from) ++at;
    if (at == rendered.answers.size()) break;
    const AnswerSpan& answer = rendered.answers[at];
    if (token.to <= answer.range.from) continue;
    tokens.weights[i] = conversation.weights.empty()
                            ? 1.0F
                            : static_cast<float>(conversation.weights[answer.message]);
  }
  return tokens;
}

}  // namespace tutti::text
