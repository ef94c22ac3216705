#include "worker/text/chat_template.h"

#include "common/base/units.h"
#include "common/file/file.h"
#include "common/json/limits.h"
#include "worker/text/bridge/bridge.h"
#include "worker/text/bridge_buffers.h"

namespace tutti::text {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr std::size_t kTemplateBytesMax = std::size_t{1} << 20;
constexpr std::size_t kOutputBytesMax = std::size_t{64} << 20;
constexpr Bytes kConfigMax{16 << 20};
constexpr JsonLimits kMessageLimits{.depth_max = 100};
constexpr JsonLimits kConfigLimits{.values_max = 500'000};

}  // namespace

Result<RenderedChat> RenderChat(std::string_view chat_template, const ChatInput& input) {
  if (chat_template.size() > kTemplateBytesMax) {
    return Fail(ErrorCode::kTooLarge, "a chat template above 1 MiB");
  }
  // What the caller names cannot be hidden by a variable.
  OrderedJson variables = input.variables.is_object() ? input.variables : OrderedJson::object();
  variables["messages"] = input.messages;
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

Result<std::optional<std::string>> LoadChatTemplate(const std::filesystem::path& model_directory) {
  Result<std::string> own = ReadFile(model_directory / "chat_template.jinja", Bytes{1 << 20});
  if (own.has_value()) return std::optional(*std::move(own));
  if (own.error().code != ErrorCode::kNotFound) return Fail(own.error());
  const std::filesystem::path path = model_directory / "tokenizer_config.json";
  Result<std::string> text = ReadFile(path, kConfigMax);
  if (!text.has_value() && text.error().code == ErrorCode::kNotFound) return std::nullopt;
  if (!text.has_value()) return Fail(text.error());
  TUTTI_RETURN_IF_ERROR(CheckJsonLimits(*text, kConfigLimits, path.string()));
  const OrderedJson config = OrderedJson::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) return Fail(ErrorCode::kInvalid, "not a JSON object", path.string());
  const auto it = config.find("chat_template");
  if (it == config.end() || it->is_null()) return std::nullopt;
  if (it->is_string()) return std::optional(it->get<std::string>());
  if (it->is_array()) {
    for (const OrderedJson& named : *it) {
      if (named.is_object() && named.value("name", OrderedJson()) == "default" &&
          named.value("template", OrderedJson()).is_string()) {
        return std::optional(named["template"].get<std::string>());
      }
    }
  }
  return Fail(ErrorCode::kInvalid, "chat_template is neither text nor a list with a \"default\"",
              path.string());
}

}  // namespace tutti::text
