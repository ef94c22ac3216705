// Specs to test with, and what ParseSpec says of them in one line each.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/spec/parse.h"

namespace tutti::spec {

// A spec that is complete and valid; `more` are further top-level lines.
inline std::string Minimal(std::string_view more = {}) {
  return "name: a\ntask: text-classification\nmodel: ./m\ndata: {train: t.jsonl, eval: e.jsonl}\n" +
         std::string(more);
}

// The same with these entries below `training` (flow style): "max_steps: 5, seed: 1".
inline std::string Training(std::string_view entries) {
  return Minimal("training: {" + std::string(entries) + "}\n");
}

inline std::string Describe(const std::vector<Error>& errors) {
  std::string text;
  for (const Error& error : errors) {
    text += std::string(ToString(error.code)) + " " + error.ToString() + "\n";
  }
  return text;
}

// Every problem, one a line: "invalid spec:1:7: name must be … (write my-job)". Empty when valid.
inline std::string ProblemsOf(std::string_view text, std::vector<std::string> sets = {}) {
  const auto parsed = ParseSpec(text, {.file_name = "spec", .sets = sets});
  return parsed ? std::string() : Describe(parsed.error());
}

// The job of a valid spec; fails the test for any other.
inline JobSpec JobOf(std::string_view text, std::vector<std::string> sets = {}) {
  const auto parsed = ParseSpec(text, {.file_name = "spec", .sets = sets});
  if (!parsed) {
    ADD_FAILURE() << text << "\n" << Describe(parsed.error());
    return {};
  }
  return parsed->job;
}

inline std::string FileText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace tutti::spec
