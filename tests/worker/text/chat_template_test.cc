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

struct Case {
  std::string_view source;
  std::string_view text;  // what Jinja writes; "" where it or we refuse
};

// What jinja2 3.1.6 writes with Transformers' settings; x is {"f": 1e-7, "l": ["\u00a0"]}.
constexpr Case kAsJinja[] = {
    {"{% generation %}{% set y = 1 %}{{ y }}{% endgeneration %}[{{ y }}]", "1[]"},
    {"a\r\n{% if true %}\r\nb\r{% endif %}c\r\n", "a\nb\nc"},
    {"{% raw %}\n {{ y }}{% endraw %}\n.", "\n {{ y }}."},
    {"a\x1c {%- if true -%} \x1f b{% endif %}", "ab"},
    {R"({{ '\U0001F600\a\/\d' }})", "😀\a\\/\\d"},
    {"{{ x.f }} {{ x.f ~ '' }} {{ x.f|string }} {{ 1e16 }}", "1e-07 1e-07 1e-07 1e+16"},
    {"{{ x.l }} {{ '' ~ x.l }}", R"(['\xa0'] ['\xa0'])"},
    {"{{ 'a\n'|indent(2, true) }}|", "  a\n|"},
    {"{{ none is iterable }} {{ {} is sequence }} {{ 'a' is sequence }}", "False True True"},
    {"{{ \"they're ǆ\".title() }} {{ \"they're x\"|title }}", "They'Re ǅ They're X"},
    {"{{ 'a\x1c'.strip() }}{{ '\x1f'|trim }}|", "a|"},
    {"{{ 'a\x0b' 'b\r\nc'.splitlines() }}", "['a', 'b', 'c']"},
    {"{{ x.items is mapping }} {{ x['get'] is defined }} {{ {'items': 1}['items'] }}",
     "False True 1"},
    {"{{ {'items': 1}.items() }}", "dict_items([('items', 1)])"},
    {"{{ {'items': 1}.items }}", ""},
    {"{{ '²'.isdigit() }} {{ '½'.isdigit() }} {{ '\"'|e }}", "True False &#34;"},
    {"{{ 'a b c'.rsplit(' ', 1) }} {{ 'a-b'.partition('-') }}", "['a b', 'c'] ('a', '-', 'b')"},
    {"{{ 'xay'.removeprefix('x').removesuffix('y') }} {{ '-7'.zfill(3) }}", "a -07"},
    {"{{ ['a', 'b'].index('b') }} {{ 'ab'.index('b') }} {{ 'q'|int }} {{ '1.9'|int }}", "1 1 0 1"},
    {"{{ 'hello world foo'|truncate(8) }} {{ 'a b'|wordcount }}", "hello... 2"},
    {"{% for y in none %}{% endfor %}", ""},
    {"{{ 'a' < 1 }}", ""},
    {"{{ 1 in 'a1' }}", ""},
    {"{{ 'a'.split('') }}", ""},
    {"{{ ','.join([1]) }}", ""},
    {"{{ 'a'|lines }}", ""},
    {"{% if true %}{% generation %}{% endif %}{% endgeneration %}", ""},
    {"{% for y in [1] %}{% generation %}{% break %}{% endgeneration %}{% endfor %}", ""},
};

TEST(ChatTemplate, IsWrittenAsJinjaWritesItOrRefused) {
  const Json x = {{"f", 1e-7}, {"l", {"\u00a0"}}};
  for (const Case& one : kAsJinja) {
    const std::string got = Render(one.source, Json::array(), {{"x", x}});
    if (one.text.empty()) {
      EXPECT_THAT(got, testing::StartsWith("error: ")) << one.source;
    } else {
      EXPECT_EQ(got, one.text) << one.source;
    }
  }
}

TEST(ChatTemplate, WorkIsBounded) {
  const std::string loops =
      "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}"
      "{% endfor %}{% endfor %}{% endfor %}";
  EXPECT_THAT(Render(loops), HasSubstr("error: "));
  EXPECT_THAT(Render("{{ 'x' * 99999999999 }}"), HasSubstr("error: "));
  EXPECT_THAT(Render("{{ '5'|int(0, 40) }}"), HasSubstr("the filter int with base 40"));
  EXPECT_THAT(Render("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), HasSubstr("error: "));
  EXPECT_THAT(Render(std::string(100'000, '(')), HasSubstr(""));  // whatever it is, it returns
  EXPECT_THAT(Render("{{ " + std::string(20'000, '[')), HasSubstr("error: "));
}

// A list of two that are one list of two, and so on: small in memory, without end when written.
TEST(ChatTemplate, ValuesOfManyPartsArePaidFor) {
  const auto unpaid = HasSubstr("out of fuel");
  EXPECT_THAT(Render("{% set n = namespace(x=[1]) %}{% for i in range(60) %}"
                     "{% set n.x = [n.x, n.x] %}{% endfor %}"),
              unpaid);
  const std::string text = "{% set s = 'ab ' * 3000000 %}";
  EXPECT_THAT(Render(text + "{{ range(9999)|list|tojson(indent=s) }}"), unpaid);
  EXPECT_THAT(Render(text + "{% for i in range(9999) %}{{ 'z' in s }}{% endfor %}"), unpaid);
  EXPECT_THAT(Render(text + "{% for i in range(9999) %}{{ s is lower }}{% endfor %}"), unpaid);
}

// What is made of another value, again and again.
TEST(ChatTemplate, ValuesHaveADepth) {
  const std::string loop =
      "{% set n = namespace(x=[1], i=1) %}{% for i in range(999) %}{% for j in range(999) %}";
  const std::string ends = "{% endfor %}{% endfor %}";
  for (const char* deeper : {"[n.x]", "{'a': n.x}", "(n.x, 1)", "n.x|batch(1)|list"}) {
    EXPECT_THAT(Render(loop + "{% set n.x = " + deeper + " %}" + ends), HasSubstr("so deep"));
  }
  EXPECT_THAT(Render("{% set a = namespace() %}{% set a.b = a %}{{ a == a.b }}"),
              HasSubstr("a namespace inside another value"));
  EXPECT_EQ(Render("{% set n = namespace(l=[]) %}{% for i in range(300) %}"
                   "{% set n.l = n.l + [{'i': i, 'j': (i, [i])}] %}{% endfor %}"
                   "{% set a, b = 1, n.l %}{{ b|length }} {{ (b|last).j }}"),
            "300 (299, [299])");
  EXPECT_EQ(Render("{% macro m() %}{{ caller(1, 2) }}{% endmacro %}"
                   "{% call(a, b) m() %}{{ a + b }}{% endcall %}"),
            "3");
}

TEST(ChatTemplate, WhatWouldExhaustTheStackIsRefused) {
  const auto many = [](std::string_view piece, int count) {
    std::string all;
    for (int i = 0; i < count; ++i) all += piece;
    return all;
  };
  const auto refused = testing::StartsWith("error: ");
  EXPECT_THAT(Render("{{ 1" + many("+1", 100'000) + " }}"), refused);
  EXPECT_THAT(Render("{{ " + many("(", 100'000) + "1" + many(")", 100'000) + " }}"), refused);
  EXPECT_THAT(Render("{{ a" + many(".b", 100'000) + " }}"), refused);
  EXPECT_THAT(Render("{% if 0 %}" + many("{% elif 0 %}", 50'000) + "{% endif %}"), refused);
  EXPECT_EQ(Render("{{ 1" + many("+1", 490) + " }}"), "491");
  EXPECT_EQ(Render("{% if 0 %}" + many("{% elif 0 %}", 300) + "{% else %}x{% endif %}"), "x");
}

TEST(ChatTemplate, VariablesCannotHideTheMessages) {
  EXPECT_EQ(Render("{{ messages | length }}", Json::array(), {{"messages", {1, 2}}}), "0");
}

TEST(ChatTemplate, MessagesThatAreNotUtf8AreAnError) {
  EXPECT_THAT(Render("{{ messages }}", Json::array({"\xff"})), HasSubstr("not UTF-8"));
}

TEST(ChatTemplate, WhatAMessageThoughtHasOneName) {
  const Json messages = Json::parse(R"([{"role": "a", "thinking": "T"},
      {"role": "a", "reasoning": "R", "reasoning_content": null}, {"role": "a"}])");
  EXPECT_EQ(Render("{% for m in messages %}{{ m.reasoning_content }}{{ m.thinking }};{% endfor %}",
                   messages),
            "TT;RR;;");
}

TEST(ChatTemplate, ComesFromTheModelsDirectory) {
  const auto dir = std::filesystem::path(testing::TempDir()) / "chat_template_dir";
  const auto more = dir / "additional_chat_templates";
  ASSERT_TRUE(MakeDirectories(more).has_value());
  const auto put = [](const std::filesystem::path& path, std::string_view text) {
    ASSERT_TRUE(WriteFileAtomically(path, text).has_value());
  };
  const auto found = [&]() -> std::pair<std::string, std::string> {
    const auto templates = LoadChatTemplates(dir);
    if (!templates) return {"error", templates.error().message};
    if (!*templates) return {"none", ""};
    return {(*templates)->base, (*templates)->tools.value_or("none")};
  };
  using testing::Pair;
  EXPECT_THAT(found(), Pair("none", ""));
  const auto config = dir / "tokenizer_config.json";
  put(config, R"({"chat_template": "one"})");
  EXPECT_THAT(found(), Pair("one", "none"));
  put(config, R"({"chat_template": [{"name": "tool_use", "template": "x"},
      {"name": "default", "template": "two"}, {"name": "rag", "template": "y"}]})");
  EXPECT_THAT(found(), Pair("two", "x"));
  put(config, R"({"chat_template": [{"name": "tool_use", "template": "x"}]})");
  EXPECT_THAT(found(), Pair("error", HasSubstr("none is named \"default\"")));
  put(more / "default.jinja", "four");
  EXPECT_THAT(found(), Pair("four", "none"));
  std::filesystem::remove(more / "default.jinja");
  put(dir / "chat_template.jinja", "three");
  EXPECT_THAT(found(), Pair("three", "none"));
  put(more / "tool_use.jinja", "t");
  EXPECT_THAT(found(), Pair("three", "t"));
  EXPECT_TRUE(RemoveTree(dir).has_value());
}

}  // namespace
}  // namespace tutti::text
