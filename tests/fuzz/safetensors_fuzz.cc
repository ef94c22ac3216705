// Any bytes as the header of a safetensors file: refused with a bounded message, or tensors that
// cover the data exactly and survive being written again. The first line is the number of bytes
// after the header.

#include <charconv>
#include <cstdint>
#include <string_view>

#include "common/base/check.h"
#include "tests/fuzz/fuzz_target.h"
#include "worker/safetensors/header.h"

namespace tutti::safetensors {
namespace {

void CheckTensors(const Header& header, std::size_t data_size) {
  TUTTI_CHECK(header.tensors.size() <= kTensorsMax, header.tensors.size(), " tensors");
  std::size_t covered = 0;
  for (std::size_t i = 0; i < header.tensors.size(); ++i) {
    const TensorEntry& tensor = header.tensors[i];
    TUTTI_CHECK(tensor.from <= tensor.to && tensor.to <= data_size, tensor.name, " lies outside");
    TUTTI_CHECK(tensor.shape.size() <= kDimensionsMax, tensor.name);
    TUTTI_CHECK(TensorBytes(tensor.dtype, tensor.shape).value() == tensor.to - tensor.from,
                tensor.name);
    TUTTI_CHECK(i == 0 || header.tensors[i - 1].name < tensor.name, tensor.name, " out of order");
    covered += tensor.to - tensor.from;
  }
  TUTTI_CHECK(covered == data_size, covered, " bytes of ", data_size);
}

void CheckSame(const Header& a, const Header& b) {
  TUTTI_CHECK(a.metadata == b.metadata, "metadata changed");
  TUTTI_CHECK(a.tensors.size() == b.tensors.size(), "tensors changed");
  for (std::size_t i = 0; i < a.tensors.size(); ++i) {
    const TensorEntry& x = a.tensors[i];
    const TensorEntry& y = b.tensors[i];
    TUTTI_CHECK(x.name == y.name && x.dtype == y.dtype && x.shape == y.shape && x.from == y.from &&
                    x.to == y.to,
                x.name, " changed");
  }
}

void Run(std::string_view text) {
  std::size_t data_size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), data_size);
  if (error != std::errc() || end == text.data() + text.size() || *end != '\n') return;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
  const auto header = ParseHeader(text, data_size, "f");
  if (!header) {
    TUTTI_CHECK(header.error().ToString().size() < 8192, header.error().ToString().size(),
                " bytes of problem");
    return;
  }
  CheckTensors(*header, data_size);
  const auto again = ParseHeader(FormatHeader(*header), data_size, "f");
  TUTTI_CHECK(again.has_value(), again.error().ToString());
  CheckSame(*header, *again);
}

}  // namespace
}  // namespace tutti::safetensors

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0) tutti::safetensors::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
