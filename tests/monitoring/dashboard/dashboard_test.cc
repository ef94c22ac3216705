#include "monitoring/dashboard/dashboard.h"

#include <gtest/gtest.h>

#include <string>

namespace tutti::dashboard {
namespace {

TEST(Dashboard, HasThePageAndWhatItRefersTo) {
  const Asset* page = Find("index.html");
  ASSERT_NE(page, nullptr);
  const std::string html = Plain(*page);
  EXPECT_NE(html.find("<!doctype html>"), std::string::npos);
  for (const char* name : {"app.js", "app.css", "icon.svg"}) {
    EXPECT_NE(html.find(name), std::string::npos) << name;
    ASSERT_NE(Find(name), nullptr) << name;
    EXPECT_GT(Plain(*Find(name)).size(), Find(name)->gzip.size()) << name;
  }
  EXPECT_EQ(Find("app.jsx"), nullptr);
}

// The content security policy forbids both.
TEST(Dashboard, HasNoInlineScriptOrStyle) {
  const std::string html = Plain(*Find("index.html"));
  EXPECT_EQ(html.find("style="), std::string::npos);
  EXPECT_EQ(html.find("<style"), std::string::npos);
  EXPECT_EQ(html.find(" on"), std::string::npos);
  for (std::size_t at = html.find("<script"); at != std::string::npos;
       at = html.find("<script", at + 1)) {
    EXPECT_EQ(html.compare(at, 13, "<script src=\""), 0) << html.substr(at, 60);
  }
}

TEST(Dashboard, LoadsInLessThan150KilobytesCompressed) {
  std::size_t total = 0;
  for (const Asset& asset : Assets()) total += asset.gzip.size();
  EXPECT_LT(total, 150u * 1000u);
}

}  // namespace
}  // namespace tutti::dashboard
