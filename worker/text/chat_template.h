// Chat templates: Jinja as Transformers runs it (trim_blocks, lstrip_blocks, break and continue,
// raise_exception, tojson as Python's json.dumps, {% generation %}). Pure functions, any thread.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/text/byte_range.h"

namespace tutti::text {

struct RenderedChat {
  std::string text;
  // What stands inside {% generation %}: the assistant's turns, ascending. Empty where a template
  // does not use it.
  std::vector<ByteRange> assistant_spans;
};

struct ChatInput {
  nlohmann::ordered_json messages;         // array of {role, content, …}; key order is kept
  nlohmann::ordered_json tools = nullptr;  // array or null
  bool add_generation_prompt = false;
  // bos_token, eos_token, date_string, …: an object of what else the template sees.
  nlohmann::ordered_json variables = nlohmann::ordered_json::object();
};

// kInvalid: the template is wrong, or stopped. A template's own raise_exception gives
// "TemplateError: " + its message. Work and output are bounded; `strftime_now` is not defined (a
// template would give other text every day): pass `date_string`.
Result<RenderedChat> RenderChat(std::string_view chat_template, const ChatInput& input);

struct ChatTemplates {
  std::string base;                  // "default"
  std::optional<std::string> tools;  // "tool_use": for conversations that have tools
};
// The templates of a model's directory, as Transformers finds them: chat_template.jinja and
// additional_chat_templates/*.jinja, else tokenizer_config.json's chat_template, a text or a list
// of named ones. nullopt: the model has none. kInvalid: several, and none is "default".
Result<std::optional<ChatTemplates>> LoadChatTemplates(
    const std::filesystem::path& model_directory);

}  // namespace tutti::text
