// The entry every fuzz target defines: libFuzzer's name and shape. It must return 0, stop the
// program (TUTTI_CHECK) where a property does not hold, and keep nothing between calls.
#pragma once

#include <cstddef>
#include <cstdint>

// `data` holds `size` bytes and may be null when there are none.
// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
