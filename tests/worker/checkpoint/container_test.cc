#include "worker/checkpoint/container.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tutti::checkpoint {
namespace {

// Memory of a writer is that of the metadata, however large the state is.
TEST(Container, MetadataLiesBeforeTheTensors) {
  for (const std::size_t count :
       {std::size_t{0}, std::size_t{1}, std::size_t{9}, std::size_t{75}, std::size_t{1'000}}) {
    for (const std::size_t name_bytes : {std::size_t{6}, std::size_t{60}, std::size_t{600}}) {
      std::vector<TensorPlace> tensors(count);
      std::vector<const TensorPlace*> places;
      for (std::size_t i = 0; i < count; ++i) {
        const std::string number = std::to_string(i);
        tensors[i] = {.name = std::string(name_bytes - number.size(), 'n') + number,
                      .shape = {100},
                      .offset = 0,
                      .count = 100};
        places.push_back(&tensors[i]);
      }
      const auto skeleton = MakeSkeleton(
          {.attempt = 1, .cursor = {}, .spec_digest = "sha256:x", .metrics = {{"accuracy", 0.5}}},
          places);
      ASSERT_TRUE(skeleton.has_value()) << skeleton.error().ToString();
      ASSERT_EQ(skeleton->extents.size(), 3 * count);
      if (count == 0) continue;
      EXPECT_LE(static_cast<std::int64_t>(skeleton->metadata.size()),
                skeleton->extents.front().from)
          << count << " tensors with names of " << name_bytes;
      EXPECT_EQ(skeleton->size, skeleton->extents.back().from + skeleton->extents.back().bytes);
    }
  }
}

}  // namespace
}  // namespace tutti::checkpoint
