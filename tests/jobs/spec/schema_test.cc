#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "jobs/spec/fields.h"
#include "jobs/spec/parse.h"

namespace tutti::spec {
namespace {

using nlohmann::json;

// The schema below a field's path; null when it has none. Of `anyOf` the object is meant.
json At(std::string_view path) {
  json schema = SpecSchema();
  while (!path.empty()) {
    if (schema.contains("anyOf")) schema = json(schema["anyOf"].back());
    const std::size_t dot = std::min(path.find('.'), path.size());
    const std::string name(path.substr(0, dot));
    if (!schema.contains("properties") || !schema["properties"].contains(name)) return nullptr;
    schema = json(schema["properties"][name]);
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return schema;
}

TEST(SpecSchema, HasEveryFieldThatAPersonWrites) {
  for (const Field& field : Fields()) {
    const json schema = At(field.path);
    if (field.use == Use::kResolved) {
      EXPECT_TRUE(schema.is_null()) << field.path;
    } else {
      ASSERT_FALSE(schema.is_null()) << field.path;
      EXPECT_FALSE(schema.value("description", "").empty()) << field.path;
    }
  }
}

TEST(SpecSchema, IsClosedAndSaysWhatIsRequired) {
  const json schema = SpecSchema();
  EXPECT_EQ(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
  EXPECT_EQ(schema["required"], json({"name", "task", "model", "data"}));
  EXPECT_EQ(schema["additionalProperties"], false);
  EXPECT_EQ(At("data")["required"], json({"train"}));
  EXPECT_EQ(At("training")["additionalProperties"], false);
}

TEST(SpecSchema, HasKindsRangesNamesAndDefaults) {
  const json rate = At("training.learning_rate");
  EXPECT_EQ(rate["type"], "number");
  EXPECT_EQ(rate["exclusiveMinimum"], 0);
  EXPECT_EQ(rate["default"], 5e-5);
  EXPECT_EQ(At("training.max_steps")["type"], "integer");
  EXPECT_FALSE(At("training.max_steps").contains("default"));
  EXPECT_EQ(At("training.warmup_ratio")["exclusiveMaximum"], 1);
  EXPECT_EQ(At("task")["enum"].size(), 4U);
  EXPECT_EQ(At("method.lora.r")["default"], 8);
  EXPECT_EQ(At("resources.ranks.min")["minimum"], 1);
  EXPECT_EQ(At("schedule.priority")["minimum"], -1'000'000);
  EXPECT_EQ(At("retry.on")["default"], json({"worker_lost", "crash", "hang"}));
}

TEST(SpecSchema, SaysWhatIsNotSupportedYet) {
  const std::string text = At("deploy.on_success")["description"];
  EXPECT_NE(text.find("not all of it is supported yet"), std::string::npos) << text;
}

}  // namespace
}  // namespace tutti::spec
