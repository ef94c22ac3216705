#include "worker/text/chat_template.h"

#include "common/json/limits.h"
#include "worker/text/bridge/bridge.h"
#include "worker/text/bridge_buffers.h"
#include "worker/text/token_files.h"

namespace tutti::text {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr std::size_t kTemplateBytesMax = std::size_t{1} << 20;
constexpr std::size_t kOutputBytesMax = std::size_t{64} << 20;
constexpr JsonLimits kMessageLimits{.depth_max = 100, .members_max = 4'096};

Result<std::optional<std::string>> TextOf(const std::filesystem::path& path) {
  return ReadFileIfThere(path, Bytes{kTemplateBytesMax});
}

// What a message thought has one name for templates, and gpt-oss's reads another.
OrderedJson WithReasoning(const OrderedJson& message) {
  if (!message.is_object()) return message;
  OrderedJson reasoning;
  for (const char* key : {"reasoning_content", "thinking", "reasoning"}) {
    if (reasoning.is_null()) reasoning = message.value(key, OrderedJson());
  }
  if (reasoning.is_null()) return message;
  OrderedJson named = {{"thinking", reasoning}};
  named.update(message);
  named["reasoning_content"] = std::move(reasoning);
  return named;
}

Unexpected NoDefault(const std::filesystem::path& path) {
  return Fail(ErrorCode::kInvalid, "several chat templates, and none is named \"default\"",
              path.string());
}

Result<std::optional<ChatTemplates>> OfConfig(const OrderedJson& config,
                                              const std::filesystem::path& path) {
  const auto it = config.find("chat_template");
  if (it == config.end() || it->is_null()) return std::nullopt;
  if (it->is_string()) return ChatTemplates{.base = it->get<std::string>(), .tools = {}};
  if (!it->is_array()) {
    return Fail(ErrorCode::kInvalid, "chat_template is neither text nor a list", path.string());
  }
  std::optional<std::string> base;
  ChatTemplates found;
  for (const OrderedJson& named : *it) {
    if (!named.is_object() || !named.value("name", OrderedJson()).is_string() ||
        !named.value("template", OrderedJson()).is_string()) {
      return Fail(ErrorCode::kInvalid, "chat_template lists what is not {name, template}",
                  path.string());
    }
    if (named["name"] == "default") base = named["template"].get<std::string>();
    if (named["name"] == "tool_use") found.tools = named["template"].get<std::string>();
  }
  if (!base) return NoDefault(path);
  found.base = *std::move(base);
  return found;
}

}  // namespace

Result<RenderedChat> RenderChat(std::string_view chat_template, const ChatInput& input) {
  if (chat_template.size() > kTemplateBytesMax) {
    return Fail(ErrorCode::kTooLarge, "a chat template above 1 MiB");
  }
  // What the caller names cannot be hidden by a variable.
  OrderedJson variables = input.variables.is_object() ? input.variables : OrderedJson::object();
  OrderedJson& messages = variables["messages"] = input.messages;
  for (OrderedJson& message : messages) message = WithReasoning(message);
  variables["tools"] = input.tools;
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] = input.add_generation_prompt;
  std::string json;
  try {
    json = variables.dump();
  } catch (const OrderedJson::exception& e) {  // text that is not UTF-8
    return Fail(ErrorCode::kInvalid, std::string("the messages are not UTF-8: ") + e.what());
  }
  TUTTI_RETURN_IF_ERROR(CheckJsonLimits(json, kMessageLimits, "messages"));
  BridgeBuffer out;
  BridgeIds spans;
  BridgeBuffer error;
  const int code =
      tutti_template_render(BytesOf(chat_template), chat_template.size(), BytesOf(json),
                            json.size(), kOutputBytesMax, out.get(), spans.get(), error.get());
  if (code == TUTTI_TEXT_RAISED) return Fail(ErrorCode::kInvalid, "TemplateError: " + error.Text());
  if (code != TUTTI_TEXT_OK) return Fail(BridgeError(code, "chat template: ", error, {}));
  RenderedChat rendered{.text = out.Text(), .assistant_spans = {}};
  const std::vector<std::uint32_t> ends = spans.Ids();
  for (std::size_t i = 0; i + 1 < ends.size(); i += 2) {
    rendered.assistant_spans.push_back({.from = ends[i], .to = ends[i + 1]});
  }
  return rendered;
}

Result<std::optional<ChatTemplates>> LoadChatTemplates(
    const std::filesystem::path& model_directory) {
  const std::filesystem::path more = model_directory / "additional_chat_templates";
  TUTTI_ASSIGN_OR_RETURN(std::optional<std::string> base, TextOf(more / "default.jinja"));
  TUTTI_ASSIGN_OR_RETURN(std::optional<std::string> tools, TextOf(more / "tool_use.jinja"));
  if (!base) {
    TUTTI_ASSIGN_OR_RETURN(base, TextOf(model_directory / "chat_template.jinja"));
  }
  if (base) return ChatTemplates{.base = *std::move(base), .tools = std::move(tools)};
  if (tools) return NoDefault(more);
  const std::filesystem::path path = model_directory / "tokenizer_config.json";
  TUTTI_ASSIGN_OR_RETURN(const OrderedJson config, ReadTokenFile(path));
  if (config.is_null()) return std::nullopt;
  return OfConfig(config, path);
}

}  // namespace tutti::text
