#include "jobs/spec/reference.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "jobs/spec/fields.h"
#include "tests/jobs/spec/spec_text.h"

namespace tutti::spec {
namespace {

constexpr std::string_view kPath = "docs/spec.md";
constexpr std::string_view kBegin = "<!-- fields: begin";
constexpr std::string_view kEnd = "<!-- fields: end -->";

// Run with TUTTI_UPDATE_DOCS=1 this test writes the tables instead of comparing them.
TEST(FieldReference, IsWhatTheDocumentationHas) {
  const std::string path(kPath);
  const std::string text = FileText(path);
  const std::size_t begin = text.find('\n', text.find(kBegin));
  const std::size_t end = text.find(kEnd);
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  const std::string rendered = "\n\n" + FieldReference() + "\n";
  const std::string wanted = text.substr(0, begin) + rendered + text.substr(end);
  if (std::getenv("TUTTI_UPDATE_DOCS") != nullptr) {
    std::ofstream(path, std::ios::binary) << wanted;
    return;
  }
  EXPECT_EQ(text, wanted) << "write " << kPath << " anew with: TUTTI_UPDATE_DOCS=1 "
                          << "build/release/tests/jobs_spec_test "
                          << "--gtest_filter=FieldReference.*";
}

TEST(FieldReference, HasEveryFieldOnce) {
  const std::string text = FieldReference();
  for (const Field& field : Fields()) {
    const std::string row = "| `" + field.path + "` |";
    const std::size_t first = text.find(row);
    if (field.use == Use::kResolved) {
      EXPECT_EQ(first, std::string::npos) << field.path;
      continue;
    }
    ASSERT_NE(first, std::string::npos) << field.path;
    EXPECT_EQ(text.find(row, first + 1), std::string::npos) << field.path;
  }
}

}  // namespace
}  // namespace tutti::spec
