// `tutti sweep submit` against an HTTP server: what each trial reads.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "with_server.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

class SweepTest : public WithServer {
 protected:
  SweepTest() {
    spec_ = (dir_ / "sweep.yaml").string();
    for (const char* model : {"base", "first", "second"}) AddModel(model);
    routes_["POST /api/v1/sweeps"] = [this](const Seen& seen) {
      sent_ = json::parse(seen.body);
      return FakeServer::Json(R"({"id": "s-1", "name": "rates", "of": 2})", 201);
    };
  }

  // A model of the cluster, whose file's digest is its name.
  void AddModel(const std::string& name) {
    const json file = {
        {"path", "model.safetensors"}, {"digest", "sha256:" + name}, {"size_bytes", 7}};
    const json model = {{"id", "ft:" + name}, {"files", json::array({file})}};
    routes_["GET /api/v1/models/" + name] = [model](const Seen&) {
      return FakeServer::Json(model.dump());
    };
  }
  void Submit(const std::string& parameters) {
    std::ofstream(spec_) << "name: rates\ntask: text-classification\nmodel: base\n"
                            "data:\n  train: file:///rows.jsonl\n"
                            "sweep:\n  method: grid\n  parameters:\n"
                         << parameters;
    const Ran ran = Run({"sweep", "submit", spec_});
    ASSERT_EQ(ran.exit, 0) << ran.err;
  }

  std::string spec_;
  json sent_;
};

TEST_F(SweepTest, EachTrialGetsTheWeightsItResumesFrom) {
  Submit("    resume_from: [first, second]\n");
  ASSERT_EQ(sent_.at("trials").size(), 2u);
  for (const json& trial : sent_.at("trials")) {
    const json& spec = trial.at("spec");
    const json& files = spec.at("inputs").at("model");
    ASSERT_EQ(files.size(), 2u);
    EXPECT_EQ(files[1].at("path"), "resume/model.safetensors");
    EXPECT_EQ(files[1].at("digest"), "sha256:" + spec.at("resume_from").get<std::string>());
  }
  EXPECT_NE(sent_["trials"][0]["spec"]["resume_from"], sent_["trials"][1]["spec"]["resume_from"]);
}

TEST_F(SweepTest, WhatTrialsShareIsLookedUpOnce) {
  Submit("    training.seed: [1, 2]\n");
  ASSERT_EQ(sent_.at("trials").size(), 2u);
  EXPECT_EQ(sent_["trials"][0]["spec"]["inputs"], sent_["trials"][1]["spec"]["inputs"]);
  int asked = 0;
  for (const Seen& seen : server_.seen()) asked += seen.target == "/api/v1/models/base" ? 1 : 0;
  EXPECT_EQ(asked, 1);
}

}  // namespace
}  // namespace tutti::cli
