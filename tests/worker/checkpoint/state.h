// A small training state for checkpoint tests, and a folder of its own for each test. One thread.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "common/file/file.h"
#include "worker/checkpoint/checkpoint.h"

namespace tutti::checkpoint {

// Tensors out of order of their names, with gaps, a scalar and an empty one.
struct State {
  std::vector<TensorPlace> tensors = {
      {.name = "z.weight", .shape = {8, 100}, .offset = 0, .count = 800},
      {.name = "a.bias", .shape = {7}, .offset = 816, .count = 7},
      {.name = "scale", .shape = {}, .offset = 832, .count = 1},
      {.name = "none", .shape = {0, 4}, .offset = 840, .count = 0},
      {.name = "big", .shape = {300, 400}, .offset = 1024, .count = 120'000},
  };
  std::vector<float> parameters;
  std::vector<float> first;
  std::vector<float> second;
  Content content;

  explicit State(std::int64_t step = 200, std::uint32_t attempt = 1)
      : parameters(131'072), first(131'072), second(131'072) {
    std::iota(parameters.begin(), parameters.end(), static_cast<float>(step));
    std::iota(first.begin(), first.end(), -7.5F);
    std::iota(second.begin(), second.end(), 0.25F);
    content = {.attempt = attempt,
               .cursor = {.step = step,
                          .epoch = 1,
                          .batch_in_epoch = 12,
                          .tokens_total = 123'456,
                          .rows_total = step * 8,
                          .best_step = 100,
                          .best_metric = 0.1 + 0.2,
                          .evals_without_gain = 1},
               .spec_digest = "sha256:" + std::string(64, 'a'),
               .tensors = tensors,
               .parameters = parameters,
               .first_moments = first,
               .second_moments = second,
               .metrics = {{"accuracy", 1.0 / 3}, {"loss", 1.25}, {"rewards/margins", -0.5}}};
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Target target() {
    return {.tensors = tensors,
            .parameters = parameters,
            .first_moments = first,
            .second_moments = second};
  }
  // Everything that belongs to a tensor, set to `value`.
  void Fill(float value) {
    for (auto* buffer : {&parameters, &first, &second}) {
      std::fill(buffer->begin(), buffer->end(), value);
    }
  }
  bool HasTensorsOf(const State& other) const {
    return std::ranges::all_of(tensors, [&](const TensorPlace& tensor) {
      const auto same = [&](const std::vector<float>& a, const std::vector<float>& b) {
        return std::equal(a.begin() + tensor.offset, a.begin() + tensor.offset + tensor.count,
                          b.begin() + tensor.offset);
      };
      return same(parameters, other.parameters) && same(first, other.first) &&
             same(second, other.second);
    });
  }
};

class CheckpointTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(testing::TempDir()) / (std::string("checkpoint-") + info->name());
    ASSERT_TRUE(RemoveTree(folder_).has_value());
  }
  void TearDown() override { ASSERT_TRUE(RemoveTree(folder_).has_value()); }

  // Names in the folder, ascending.
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    if (!fs::exists(folder_)) return names;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      names.push_back(entry.path().filename().string());
    }
    std::ranges::sort(names);
    return names;
  }
  Found Newest() const {
    const auto found = List(folder_);
    EXPECT_TRUE(found.has_value() && !found->empty());
    return found.has_value() && !found->empty() ? found->front() : Found{};
  }

  fs::path folder_;
};

}  // namespace tutti::checkpoint
