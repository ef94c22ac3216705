#include "jobs/spec/yaml.h"

#include <gtest/gtest.h>

#include "jobs/spec/json_text.h"

namespace tutti::spec {
namespace {

struct Reading {
  std::optional<Node> root;
  std::vector<LocatedError> errors;

  std::string Errors() const {
    std::string text;
    for (const LocatedError& located : errors) text += located.error.ToString() + "\n";
    return text;
  }
};

Reading Yaml(std::string_view text) {
  Reading reading;
  reading.root = ReadYaml(text, {.file_name = "f"}, reading.errors);
  return reading;
}

Reading Json(std::string_view text) {
  Reading reading;
  reading.root = ReadJson(text, {.file_name = "f"}, reading.errors);
  return reading;
}

const Node& At(const Node& node, std::string_view key) { return Find(*node.AsMap(), key)->value; }

TEST(ReadYaml, EveryNodeKnowsItsPlace) {
  const Reading reading = Yaml("a: 1\nb:\n  - x\n  - {c: 'two'}\n# end\n");
  ASSERT_TRUE(reading.root);
  EXPECT_EQ(reading.Errors(), "");
  EXPECT_EQ(At(*reading.root, "a").place.where, "f:1:4");
  const List& list = *At(*reading.root, "b").AsList();
  EXPECT_EQ(list[0].place.where, "f:3:5");
  EXPECT_EQ(Find(*list[1].AsMap(), "c")->place.where, "f:4:6");
  EXPECT_EQ(At(list[1], "c").place.where, "f:4:9");
  EXPECT_LT(list[0].place.order, list[1].place.order);
}

TEST(ReadYaml, QuotesMakeText) {
  const Reading reading = Yaml("a: '1'\nb: \"true\"\nc: |\n  5\nd: >\n  6\ne: \"x\\ty\"\n");
  ASSERT_TRUE(reading.root);
  for (const char* key : {"a", "b", "c", "d"}) {
    EXPECT_EQ(KindOf(At(*reading.root, key)), "text") << key;
  }
  EXPECT_EQ(std::get<std::string>(At(*reading.root, "e").value), "x\ty");
}

TEST(ReadYaml, ColumnsCountCharacters) {
  const Reading reading = Yaml("ä: ü  \n\"ß\": [é, &x 1]\n");
  EXPECT_EQ(reading.Errors(),
            "f:2:10: YAML anchors are not accepted (write the value out where it is used)\n");
}

struct Refusal {
  std::string_view text;
  std::string_view error;
};
std::ostream& operator<<(std::ostream& out, const Refusal& r) { return out << r.text; }

class YamlRefuses : public testing::TestWithParam<Refusal> {};

TEST_P(YamlRefuses, WithPlaceAndReason) {
  const Reading reading = Yaml(GetParam().text);
  ASSERT_FALSE(reading.errors.empty());
  EXPECT_EQ(reading.errors.front().error.ToString(), GetParam().error);
}

INSTANTIATE_TEST_SUITE_P(
    Features, YamlRefuses,
    testing::Values(
        Refusal{"a: &x 1\n",
                "f:1:4: YAML anchors are not accepted (write the value out where it is used)"},
        Refusal{"a: &x {b: 1}\n",
                "f:1:4: YAML anchors are not accepted (write the value out where it is used)"},
        Refusal{"a: *x\n",
                "f:1:4: YAML aliases are not accepted (write the value out where it is used)"},
        Refusal{"a: !!int 1\n",
                "f:1:4: YAML tags are not accepted (remove the word that starts with !)"},
        Refusal{"a: !x [1]\n",
                "f:1:4: YAML tags are not accepted (remove the word that starts with !)"},
        Refusal{"<<: {a: 1}\n",
                "f:1:1: YAML merge keys are not accepted (write the fields out where they are "
                "used)"},
        Refusal{"%YAML 1.2\n---\na: 1\n",
                "f:1:1: YAML directives are not accepted (remove the line that starts with %)"},
        Refusal{"%TAG ! x:\n---\na: 1\n",
                "f:1:1: YAML directives are not accepted (remove the line that starts with %)"},
        Refusal{"a: 1\n---\nb: 2\n",
                "f:2:1: a second YAML document; a file holds one spec (remove the line --- or "
                "split the file)"},
        Refusal{"a: 1\nb: 2\na: 3\n", "f:3:1: duplicate key 'a' (it stands at f:1:1 already)"},
        Refusal{"x: {a: 1, a: 2}\n", "f:1:11: duplicate key 'a' (it stands at f:1:5 already)"},
        Refusal{"a: 1\n'a': 2\n", "f:2:1: duplicate key 'a' (it stands at f:1:1 already)"},
        Refusal{"? [a]\n: 1\n", "f:1:3: a key must be text"},
        Refusal{"? {a: 1}\n: 1\n", "f:1:3: a key must be text"}));

INSTANTIATE_TEST_SUITE_P(
    Syntax, YamlRefuses,
    testing::Values(
        Refusal{"a: \"x\n",
                "f:2:1: not YAML: found unexpected end of stream while scanning a quoted scalar "
                "that starts in line 1"},
        Refusal{"a: [1, 2\n",
                "f:2:1: not YAML: did not find expected ',' or ']' while parsing a flow sequence "
                "that starts in line 1"},
        Refusal{"a:\n\tb: 1\n",
                "f:2:1: not YAML: found character that cannot start any token while scanning for "
                "the next token"},
        Refusal{"a: 1\n b: 2\n", "f:2:3: not YAML: mapping values are not allowed in this context"},
        Refusal{"a: @x\n",
                "f:1:4: not YAML: found character that cannot start any token while scanning for "
                "the next token"},
        Refusal{"a: \xff\n", "f:1:4: not YAML: invalid leading UTF-8 octet"},
        Refusal{"ü: \xc3\x28\n", "f:1:5: not YAML: invalid trailing UTF-8 octet"},
        Refusal{"a: \xed\xa0\x80\n", "f:1:4: not YAML: invalid Unicode character"},
        Refusal{std::string_view("a: x\0y\n", 7),
                "f:1:5: not YAML: control characters are not allowed"}));

TEST(ReadYaml, AByteOrderMarkIsSkipped) {
  const Reading reading = Yaml(
      "\xEF\xBB\xBF"
      "a: 1\n");
  ASSERT_TRUE(reading.root) << reading.Errors();
  EXPECT_NE(Find(*reading.root->AsMap(), "a"), nullptr);
}

TEST(ReadYaml, NothingIsNull) {
  for (const std::string_view text :
       {std::string_view(), std::string_view(""), std::string_view("\n\n"),
        std::string_view("# only words\n"), std::string_view("---\n"), std::string_view("~")}) {
    const Reading reading = Yaml(text);
    ASSERT_TRUE(reading.root) << text;
    EXPECT_EQ(KindOf(*reading.root), "nothing") << text;
  }
}

class JsonRefuses : public testing::TestWithParam<Refusal> {};

TEST_P(JsonRefuses, WithPlaceAndReason) {
  const Reading reading = Json(GetParam().text);
  ASSERT_FALSE(reading.errors.empty());
  EXPECT_EQ(reading.errors.front().error.ToString().substr(0, GetParam().error.size()),
            GetParam().error);
}

INSTANTIATE_TEST_SUITE_P(
    Json, JsonRefuses,
    testing::Values(Refusal{"{\n  \"a\": 1,\n}", "f:3:1: not JSON: object key - unexpected '}'"},
                    Refusal{"{\"a\": 1", "f:1:8: not JSON: object - unexpected end of input"},
                    Refusal{"{\"a\": NaN}", "f:1:7: not JSON: value - invalid literal"},
                    Refusal{"{\"a\": Infinity}", "f:1:7: not JSON: value - invalid literal"},
                    Refusal{"{\"a\": 1e400}", "f:1:11: not JSON: number overflow parsing '1e400'"},
                    Refusal{"{\"a\": 01}", "f:1:8: not JSON: object - unexpected number literal"},
                    Refusal{"{\"a\": 'x'}", "f:1:7: not JSON: value - invalid literal"},
                    Refusal{"{\"a\": 1} x", "f:1:10: not JSON: "},
                    Refusal{"{\"a\": 1, \"a\": 2}", "f#/a: duplicate key 'a' (keep one of them)"},
                    Refusal{"{\"x\": [{\"a\": 1, \"a\": 2}]}",
                            "f#/x/0/a: duplicate key 'a' (keep one of them)"},
                    Refusal{"{\"a/b~\": 1, \"a/b~\": 2}", "f#/a~1b~0: duplicate key 'a/b~'"},
                    Refusal{"{\"a\": \"\xff\"}",
                            "f:1:8: not JSON: value - invalid string: ill-formed UTF-8"},
                    Refusal{"{\"a\": \"\\ud800\"}", "f:1:"},
                    Refusal{std::string_view("{\"a\": \"\0\"}", 10),
                            "f:1:8: not JSON: value - invalid string"}));

TEST(ReadJson, FieldsHavePointers) {
  const Reading reading = Json("{\"a\": {\"b/c\": [1, true, null]}}");
  ASSERT_TRUE(reading.root) << reading.Errors();
  const List& list = *At(At(*reading.root, "a"), "b/c").AsList();
  EXPECT_EQ(list[1].place.where, "f#/a/b~1c/1");
  EXPECT_EQ(KindOf(list[1]), "true or false");
}

TEST(ReadJson, WholeNumbersBeyond64BitsAreNumbers) {
  const Reading reading = Json("[9223372036854775807, 18446744073709551615, 1e2]");
  ASSERT_TRUE(reading.root);
  const List& list = *reading.root->AsList();
  EXPECT_EQ(KindOf(list[0]), "a whole number");
  EXPECT_EQ(KindOf(list[1]), "a number");
  EXPECT_EQ(KindOf(list[2]), "a number");
}

}  // namespace
}  // namespace tutti::spec
