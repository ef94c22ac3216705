// Texts made to hurt: each is refused with at most kErrorsMax short problems, whatever its size.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "jobs/spec/tree.h"
#include "tests/jobs/spec/spec_text.h"

namespace tutti::spec {
namespace {

std::string Times(std::string_view text, std::size_t count) {
  std::string all;
  all.reserve(text.size() * count);
  for (std::size_t i = 0; i < count; ++i) all += text;
  return all;
}

std::string Numbered(std::string_view before, std::string_view after, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) {
    all += before;
    all += std::to_string(i);
    all += after;
  }
  return all;
}

std::string Staircase(int steps) {
  std::string all;
  for (int i = 0; i < steps; ++i) all += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  return all;
}

struct Hostile {
  std::string name;
  std::string text;
  std::string first;  // start of the first problem
};
std::ostream& operator<<(std::ostream& out, const Hostile& h) { return out << h.name; }

class HostileText : public testing::TestWithParam<Hostile> {};

TEST_P(HostileText, IsRefusedInAFewWords) {
  const auto parsed = ParseSpec(GetParam().text, {.file_name = "spec"});
  ASSERT_FALSE(parsed);
  ASSERT_FALSE(parsed.error().empty());
  EXPECT_LE(parsed.error().size(), kErrorsMax);
  for (const Error& error : parsed.error()) {
    EXPECT_LE(error.ToString().size(), 2000U);
    EXPECT_FALSE(error.where.empty()) << error.ToString();
  }
  const Error& error = parsed.error().front();
  const std::string first = std::string(ToString(error.code)) + " " + error.ToString();
  EXPECT_EQ(first.substr(0, GetParam().first.size()), GetParam().first);
}

const std::string kHead = "name: a\ntask: text-classification\nmodel: m\ndata: {train: t}\n";

INSTANTIATE_TEST_SUITE_P(
    Depth, HostileText,
    testing::Values(
        Hostile{"flow lists", Times("[", 1'000'000), "invalid spec:1:33: nested more than 32 deep"},
        Hostile{"flow mappings", "a: " + Times("{a: ", 200'000), "invalid spec:1:"},
        Hostile{"block mappings", Staircase(1400), "invalid spec:32:32: nested more than 32 deep"},
        Hostile{"block lists", Times("- ", 400'000), "invalid spec:1:65: nested more than 32 deep"},
        Hostile{"complex keys", Times("? ", 400'000),
                "invalid spec:1:65: nested more than 32 deep"},
        Hostile{"quoted flow keys", "a: [" + Times("\"x\": ", 150'000), "invalid spec:1:"},
        Hostile{"JSON objects", Times("{\"a\":", 200'000), "invalid spec#/a/a"},
        Hostile{"JSON lists", "{\"a\":" + Times("[", 900'000), "invalid spec#/a/0/0"}));

INSTANTIATE_TEST_SUITE_P(
    Size, HostileText,
    testing::Values(
        Hostile{"2 MiB of a letter", Times("a", 2 << 20),
                "too_large spec: 2097152 bytes of spec; at most 1048576 are read"},
        Hostile{"2 MiB of JSON", "{\"a\":\"" + Times("a", 2 << 20) + "\"}", "too_large spec: "},
        Hostile{"a long name", kHead + "x: \"" + Times("a", 1'000'000) + "\"\n",
                "invalid spec:5:1: unknown field 'x'"},
        Hostile{"a long key", kHead + "\"" + Times("k", 1000) + "\": 1\n",
                "invalid spec:5:1: unknown field 'kkkk"},
        Hostile{"a long number", kHead + "training: {learning_rate: " + Times("1", 900'000) + "}\n",
                "invalid spec:5:27: training.learning_rate must be a finite number above 0"},
        Hostile{"a long model",
                "name: a\ntask: text-classification\ndata: {train: t}\nmodel: " +
                    Times("m", 900'000) + "\n",
                "invalid spec:4:8: model is 900000 bytes long; at most 4096 are read"},
        Hostile{"a million comments", Times("# x\n", 250'000), "invalid spec:250001:1: the spec"},
        Hostile{"many items", "webhooks: [" + Times("a,", 400'000) + "]", "invalid spec:1:"},
        Hostile{"many lines", Times("- a\n", 250'000), "invalid spec:20000:3: more than 20000"},
        Hostile{"many unknown keys", Numbered("k", "xxxxxxxxxxxxxxxxxxxxxxxx: 1\n", 9'900),
                "invalid spec:1:1: name is missing"},
        Hostile{"many unknown JSON keys", "{" + Numbered("\"k", "\":1,", 15'000) + "\"z\":1}",
                "invalid spec#: name is missing"},
        Hostile{"many bad kwargs",
                kHead + "training: {lr_scheduler_kwargs: {" + Numbered("k", ": x, ", 9'000) + "}}",
                "invalid spec:5:"},
        Hostile{"many bad columns",
                "name: a\ntask: text-classification\nmodel: m\ndata: {train: t, columns: {" +
                    Numbered("k", ": x, ", 9'000) + "}}",
                "invalid spec:4:"},
        Hostile{"many retry reasons", kHead + "retry: {on: [" + Times("crash, ", 15'000) + "]}",
                "invalid spec:5:21: retry.on has 'crash' twice"},
        Hostile{"many dependencies",
                kHead + "schedule: {depends_on: [" + Numbered("j", ", ", 15'000) + "]}",
                "invalid spec:5:24: schedule.depends_on names at most 100 jobs, not 15000"}));

INSTANTIATE_TEST_SUITE_P(
    Yaml, HostileText,
    testing::Values(
        Hostile{"duplicate keys", Times("name: 1\n", 100'000), "invalid spec:"},
        Hostile{"a billion laughs",
                "a0: &a0 x\n" + Numbered("b", ": &b [*a0, *a0, *a0, *a0]\n", 4'000),
                "invalid spec:1:"},
        Hostile{"an alias of itself", kHead + "metadata: &m {x: *m}\n",
                "invalid spec:5:11: YAML anchors are not accepted"},
        Hostile{"merge keys", kHead + "metadata:\n  <<: {a: b}\n",
                "invalid spec:6:3: YAML merge keys are not accepted"},
        Hostile{"a tag", kHead + "metadata: !!python/object/apply:os.system [ls]\n",
                "invalid spec:5:11: YAML tags are not accepted"},
        Hostile{"NUL", std::string("name: a\0b\n", 10),
                "invalid spec:1:8: not YAML: control characters are not allowed"},
        Hostile{"an escaped NUL", kHead + "metadata: {a: \"\\0\"}\n",
                "invalid spec:5:15: metadata.a has a control character"},
        Hostile{"bytes that are no UTF-8", "name: \xc0\xaf\n", "invalid spec:1:7: not YAML: "},
        Hostile{"UTF-16", std::string("\xff\xfen\0a\0", 6), "invalid spec:1:1: not YAML: "},
        Hostile{"an unterminated quote", "name: \"a\n", "invalid spec:2:1: not YAML: "},
        Hostile{"not a number", kHead + "training: {weight_decay: .nan}\n",
                "invalid spec:5:26: training.weight_decay must be a finite number at least 0"},
        Hostile{"infinity", kHead + "training: {weight_decay: .inf}\n", "invalid spec:5:26: "},
        Hostile{"1e400", kHead + "training: {weight_decay: 1e400}\n", "invalid spec:5:26: "}));

INSTANTIATE_TEST_SUITE_P(
    Json, HostileText,
    testing::Values(
        Hostile{"duplicate keys", "{" + Times("\"name\":1,", 50'000) + "\"x\":1}", "invalid spec#"},
        Hostile{"NaN", "{\"name\": NaN}", "invalid spec:1:10: not JSON: "},
        Hostile{"1e400", "{\"training\": {\"seed\": 1e400}}",
                "invalid spec:1:27: not JSON: number overflow"},
        Hostile{"half a surrogate", "{\"name\": \"\\udc00\"}", "invalid spec:1:"},
        Hostile{"bytes that are no UTF-8", "{\"name\": \"\xff\"}", "invalid spec:1:11: not JSON: "},
        Hostile{"a NUL in a text",
                "{\"name\": \"a\\u0000b\", \"task\": \"text-classification\", "
                "\"model\": \"m\", \"data\": {\"train\": \"t\"}}",
                "invalid spec#/name: name has a control character: 'a\\x00b'"},
        Hostile{"cut off", "{\"name\": \"a\"", "invalid spec:1:13: not JSON: "},
        Hostile{"comments", "{\"name\": \"a\" /* x */}", "invalid spec:1:14: not JSON: "},
        Hostile{"a deep pointer", "{\"" + Times("k", 600) + "\": {\"" + Times("k", 600) + "\": 1}}",
                "invalid spec#"}));

TEST(HostileJson, DeepValuesAreRefusedWithoutRecursion) {
  nlohmann::json deep = 1;
  for (int i = 0; i < 100'000; ++i) deep = nlohmann::json::array({std::move(deep)});
  const auto job = FromJson({{"metadata", std::move(deep)}});
  ASSERT_FALSE(job);
  EXPECT_NE(job.error().front().message.find("nested more than 32 deep"), std::string::npos);
}

TEST(HostileOverrides, AreBoundedToo) {
  const std::vector<std::string> sets = {"metadata=" + Times("[", 100'000),
                                         "name=" + Times("a", 2 << 20), Times("a.", 10'000) + "b=1",
                                         Times("x", 100'000)};
  const auto parsed = ParseSpec(kHead, {.file_name = "spec", .sets = sets});
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().size(), sets.size());
  for (const Error& error : parsed.error()) EXPECT_LE(error.ToString().size(), 1000U);
}

}  // namespace
}  // namespace tutti::spec
