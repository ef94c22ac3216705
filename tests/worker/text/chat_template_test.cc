#include "worker/text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "common/file/file.h"

namespace tutti::text {
namespace {

using Json = nlohmann::ordered_json;
using testing::HasSubstr;

std::string Render(std::string_view source, Json messages = Json::array(),
                   Json variables = Json::object()) {
  const Result<RenderedChat> chat =
      RenderChat(source, {.messages = std::move(messages), .variables = std::move(variables)});
  return chat.has_value() ? chat->text : "error: " + chat.error().message;
}

TEST(ChatTemplate, ToJsonIsPythons) {
  const Json value =
      Json::parse(R"({"z": [1, 2.0, 1e16, null, true], "a": "<é\u0001\">", "e": {}, "l": []})");
  EXPECT_EQ(Render("{{ v | tojson }}", Json::array(), {{"v", value}}),
            R"({"z": [1, 2.0, 1e+16, null, true], "a": "<é\u0001\">", "e": {}, "l": []})");
  EXPECT_EQ(Render("{{ v | tojson(indent=2) }}", Json::array(), {{"v", {{"a", {1, {{"b", 2}}}}}}}),
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": 2\n    }\n  ]\n}");
}

TEST(ChatTemplate, GenerationSpansAreBytesOfTheText) {
  const Json messages = Json::parse(R"([{"role": "user", "content": "né?"},
      {"role": "assistant", "content": "été"}, {"role": "assistant", "content": ""}])");
  const Result<RenderedChat> chat = RenderChat(
      "{% for m in messages %}\n"
      "{% if m.role == 'assistant' %}A:{% generation %}{{ m.content }}{% endgeneration %}\n"
      "{% else %}U:{{ m.content }}{% endif %}{% endfor %}",
      {.messages = messages});
  ASSERT_TRUE(chat.has_value()) << chat.error().ToString();
  EXPECT_EQ(chat->text, "U:né?A:étéA:");
  EXPECT_EQ(chat->assistant_spans, (std::vector<ByteRange>{{8, 13}, {15, 15}}));
}

TEST(ChatTemplate, ItsOwnErrorIsGivenAsItIs) {
  EXPECT_EQ(Render("{{ raise_exception('no tools here') }}"),
            "error: TemplateError: no tools here");
  EXPECT_THAT(Render("{% if %}"), HasSubstr("error: chat template: "));
  EXPECT_THAT(Render("{% generation %}x"), HasSubstr("error: "));
}

TEST(ChatTemplate, WorkIsBounded) {
  const std::string loops =
      "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}"
      "{% endfor %}{% endfor %}{% endfor %}";
  EXPECT_THAT(Render(loops), HasSubstr("error: "));
  EXPECT_THAT(Render("{{ 'x' * 99999999999 }}"), HasSubstr("error: "));
  EXPECT_THAT(Render("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), HasSubstr("error: "));
  EXPECT_THAT(Render(std::string(100'000, '(')), HasSubstr(""));  // whatever it is, it returns
  EXPECT_THAT(Render("{{ " + std::string(20'000, '[')), HasSubstr("error: "));
}

TEST(ChatTemplate, VariablesCannotHideTheMessages) {
  EXPECT_EQ(Render("{{ messages | length }}", Json::array(), {{"messages", {1, 2}}}), "0");
}

TEST(ChatTemplate, MessagesThatAreNotUtf8AreAnError) {
  EXPECT_THAT(Render("{{ messages }}", Json::array({"\xff"})), HasSubstr("not UTF-8"));
}

TEST(ChatTemplate, ComesFromTheModelsDirectory) {
  const auto dir = std::filesystem::path(testing::TempDir()) / "chat_template_dir";
  ASSERT_TRUE(MakeDirectories(dir).has_value());
  auto found = LoadChatTemplate(dir);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(*found, std::nullopt);
  const auto config = dir / "tokenizer_config.json";
  ASSERT_TRUE(WriteFileAtomically(config, R"({"chat_template": "one"})").has_value());
  EXPECT_EQ(LoadChatTemplate(dir).value(), "one");
  ASSERT_TRUE(WriteFileAtomically(config, R"({"chat_template": [{"name": "tool_use", "template":
      "x"}, {"name": "default", "template": "two"}]})")
                  .has_value());
  EXPECT_EQ(LoadChatTemplate(dir).value(), "two");
  ASSERT_TRUE(WriteFileAtomically(dir / "chat_template.jinja", "three").has_value());
  EXPECT_EQ(LoadChatTemplate(dir).value(), "three");
  EXPECT_TRUE(RemoveTree(dir).has_value());
}

}  // namespace
}  // namespace tutti::text
