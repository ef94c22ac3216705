#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "worker/model/kernels.h"
#include "worker/model/random.h"

namespace tutti::model {

extern const Kernels kWideKernels;

namespace {

constexpr std::int64_t kInGap = 3, kOutGap = 2;  // floats between rows

// Eight rows and a matrix, drawn.
class FewRowsOf : public testing::TestWithParam<const Kernels*> {
 protected:
  void Size(std::int64_t in, std::int64_t out) {
    in_ = in;
    out_ = out;
    const auto draw = [](std::uint64_t seed, std::int64_t count) {
      std::vector<float> drawn(static_cast<std::size_t>(count));
      FillNormal(seed, 1, drawn);
      return drawn;
    };
    x_ = draw(1, kFewRows * (in + kInGap));
    matrix_ = draw(2, in * out);
    before_ = draw(3, kFewRows * (out + kOutGap));
  }

  // What `before_` has become.
  std::vector<float> Product(std::int64_t row, std::int64_t rows, bool input_major, bool add) {
    std::vector<float> y = before_;
    GetParam()->few_rows({.rows = rows,
                          .in = in_,
                          .out = out_,
                          .input_major = input_major,
                          .add = add,
                          .x = x_.data() + row * (in_ + kInGap),
                          .x_stride = in_ + kInGap,
                          .matrix = matrix_.data(),
                          .matrix_stride = input_major ? out_ : in_,
                          .y = y.data() + row * (out_ + kOutGap),
                          .y_stride = out_ + kOutGap});
    return y;
  }

  double Expected(std::int64_t row, std::int64_t o, bool input_major) const {
    double sum = 0;
    for (std::int64_t i = 0; i < in_; ++i) {
      const std::int64_t at = input_major ? i * out_ + o : o * in_ + i;
      sum += static_cast<double>(x_[static_cast<std::size_t>(row * (in_ + kInGap) + i)]) *
             static_cast<double>(matrix_[static_cast<std::size_t>(at)]);
    }
    return sum;
  }

  void CheckSums(bool input_major) {
    const auto all = Product(0, kFewRows, input_major, false);
    const auto added = Product(0, kFewRows, input_major, true);
    for (std::int64_t row = 0; row < kFewRows; ++row) {
      for (std::int64_t o = 0; o < out_ + kOutGap; ++o) {
        const auto at = static_cast<std::size_t>(row * (out_ + kOutGap) + o);
        if (o < out_) {
          const double want = Expected(row, o, input_major);
          ASSERT_NEAR(static_cast<double>(all[at]), want, 1e-4) << row << ", " << o;
          ASSERT_NEAR(static_cast<double>(added[at]), static_cast<double>(before_[at]) + want, 1e-4)
              << row << ", " << o;
        } else {
          ASSERT_EQ(all[at], before_[at]) << "between rows nothing is written";
        }
      }
    }
  }

  void CheckCompany(bool input_major) {
    const auto all = Product(0, kFewRows, input_major, false);
    const std::int64_t stride = out_ + kOutGap;
    for (std::int64_t row = 0; row < kFewRows; ++row) {
      for (std::int64_t rows = 1; row + rows <= kFewRows; ++rows) {
        const auto some = Product(row, rows, input_major, false);
        const auto first = static_cast<std::size_t>(row * stride);
        ASSERT_EQ(std::memcmp(&some[first], &all[first],
                              static_cast<std::size_t>(rows * stride) * sizeof(float)),
                  0)
            << rows << " rows from " << row;
      }
    }
  }

 private:
  std::int64_t in_ = 0, out_ = 0;
  std::vector<float> x_, matrix_, before_;
};

std::vector<const Kernels*> TablesWithWide() {
  std::vector<const Kernels*> tables = RunnableKernels();
  tables.push_back(&kWideKernels);
  return tables;
}
std::string TableName(const testing::TestParamInfo<const Kernels*>& info) {
  return info.param->isa;
}
INSTANTIATE_TEST_SUITE_P(Cpu, FewRowsOf, testing::ValuesIn(TablesWithWide()), TableName);

TEST_P(FewRowsOf, EachElementIsTheSumOfItsProductsOrAddedTo) {
  for (const auto& [in, out] : {std::pair{1, 1}, std::pair{35, 21}, std::pair{64, 700}}) {
    Size(in, out);
    CheckSums(/*input_major=*/false);
    CheckSums(/*input_major=*/true);
  }
}

TEST_P(FewRowsOf, ARowIsTheSameInAnyCompany) {
  for (const auto& [in, out] : {std::pair{1, 1}, std::pair{35, 21}, std::pair{64, 700}}) {
    Size(in, out);
    CheckCompany(/*input_major=*/false);
    CheckCompany(/*input_major=*/true);
  }
}

}  // namespace
}  // namespace tutti::model
