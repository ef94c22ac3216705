#include "jobs/spec/tree.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tutti::spec {
namespace {

using Kinds = std::variant<Null, bool, std::int64_t, double, std::string>;

struct ScalarCase {
  std::string_view text;
  Kinds value;
};

std::ostream& operator<<(std::ostream& out, const ScalarCase& c) {
  return out << "'" << c.text << "'";
}

class CoreSchema : public testing::TestWithParam<ScalarCase> {};

TEST_P(CoreSchema, DecidesWhatAPlainScalarIs) {
  const Node node = ResolvePlain(GetParam().text);
  const Kinds& expected = GetParam().value;
  EXPECT_EQ(node.written, GetParam().text);
  ASSERT_EQ(node.value.index(), expected.index()) << KindOf(node);
  if (const auto* boolean = std::get_if<bool>(&expected)) {
    EXPECT_EQ(std::get<bool>(node.value), *boolean);
  } else if (const auto* whole = std::get_if<std::int64_t>(&expected)) {
    EXPECT_EQ(std::get<std::int64_t>(node.value), *whole);
  } else if (const auto* number = std::get_if<double>(&expected)) {
    const double got = std::get<double>(node.value);
    EXPECT_TRUE(got == *number || (std::isnan(got) && std::isnan(*number))) << got;
  } else if (const auto* text = std::get_if<std::string>(&expected)) {
    EXPECT_EQ(std::get<std::string>(node.value), *text);
  }
}

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

ScalarCase Text(std::string_view text) { return {text, std::string(text)}; }
ScalarCase Whole(std::string_view text, std::int64_t value) { return {text, value}; }

INSTANTIATE_TEST_SUITE_P(Null, CoreSchema,
                         testing::Values(ScalarCase{"", Null{}}, ScalarCase{"~", Null{}},
                                         ScalarCase{"null", Null{}}, ScalarCase{"Null", Null{}},
                                         ScalarCase{"NULL", Null{}}, Text("nULL"), Text("none"),
                                         Text("nil")));
INSTANTIATE_TEST_SUITE_P(Bool, CoreSchema,
                         testing::Values(ScalarCase{"true", true}, ScalarCase{"True", true},
                                         ScalarCase{"TRUE", true}, ScalarCase{"false", false},
                                         ScalarCase{"False", false}, ScalarCase{"FALSE", false},
                                         Text("tRUE"), Text("yes"), Text("Yes"), Text("no"),
                                         Text("on"), Text("off"), Text("y"), Text("n")));
INSTANTIATE_TEST_SUITE_P(
    Whole, CoreSchema,
    testing::Values(Whole("0", 0), Whole("-0", 0), Whole("42", 42), Whole("+42", 42),
                    Whole("-42", -42), Whole("0x10", 16), Whole("0xfF", 255), Whole("0o17", 15),
                    Whole("9223372036854775807", std::numeric_limits<std::int64_t>::max()),
                    Whole("-9223372036854775808", std::numeric_limits<std::int64_t>::min()),
                    ScalarCase{"9223372036854775808", 0x1p63}, Text("012"), Text("-012"),
                    Text("00"), Text("12:30"), Text("1_000"), Text("0b101"), Text("0x"),
                    Text("0o8"), Text("0xG"), Text("-0x10"), Text("0x-1"), Text("0X10"),
                    Text("1,000"), Text("--1"), Text("+-1"), Text("+"), Text("-"), Text("1 2")));
INSTANTIATE_TEST_SUITE_P(
    Number, CoreSchema,
    testing::Values(ScalarCase{"5e-5", 5e-5}, ScalarCase{"5.0e-5", 5e-5}, ScalarCase{"1.", 1.0},
                    ScalarCase{".5", 0.5}, ScalarCase{"-.5", -0.5}, ScalarCase{"+.5", 0.5},
                    ScalarCase{"1E3", 1e3}, ScalarCase{"1e+3", 1e3}, ScalarCase{"0.0", 0.0},
                    ScalarCase{"0e0", 0.0}, ScalarCase{".inf", kInf}, ScalarCase{"-.inf", -kInf},
                    ScalarCase{"+.INF", kInf}, ScalarCase{".Inf", kInf}, ScalarCase{".nan", kNaN},
                    ScalarCase{".NaN", kNaN}, ScalarCase{".NAN", kNaN}, ScalarCase{"1e400", kInf},
                    ScalarCase{"1e-400", kInf}, Text("."), Text("e5"), Text("1e"), Text("1e+"),
                    Text("1.2.3"), Text("inf"), Text("nan"), Text("-.nan"), Text(".iNF"),
                    Text("01.5"), Text("1e5.5"), Text("0x1p3")));

TEST(SetAt, ReplacesAndMakesMappingsOnTheWay) {
  Node root{.value = Map{}, .written = {}, .place = {}};
  SetAt(root, {"a", "b"}, {.value = std::int64_t{1}, .written = "1", .place = {"--set a.b", 7}});
  SetAt(root, {"a", "c"}, {.value = std::int64_t{2}, .written = "2", .place = {"--set a.c", 8}});
  SetAt(root, {"a", "b"}, {.value = std::int64_t{3}, .written = "3", .place = {"--set a.b", 9}});
  const Entry* a = Find(*root.AsMap(), "a");
  ASSERT_NE(a, nullptr);
  ASSERT_EQ(a->value.AsMap()->size(), 2U);
  const Entry* b = Find(*a->value.AsMap(), "b");
  EXPECT_EQ(std::get<std::int64_t>(b->value.value), 3);
  EXPECT_EQ(b->value.place.order, 9);
}

TEST(SetAt, AScalarOnTheWayBecomesAMapping) {
  Node root{.value = Map{{"a", {}, ResolvePlain("5")}}, .written = {}, .place = {}};
  SetAt(root, {"a", "b"}, ResolvePlain("x"));
  ASSERT_NE(Find(*root.AsMap(), "a")->value.AsMap(), nullptr);
}

}  // namespace
}  // namespace tutti::spec
