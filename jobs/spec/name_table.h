// The names of an enum, once: a constexpr table in the enum's order. Values, no threads.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

namespace tutti::spec {

template <typename E, std::size_t N>
using NameTable = std::array<std::pair<E, std::string_view>, N>;

// True when row i names the enumerator of value i, which NameIn relies on.
template <typename E, std::size_t N>
constexpr bool IsInOrder(const NameTable<E, N>& table) {
  for (std::size_t i = 0; i < N; ++i) {
    if (static_cast<std::size_t>(table[i].first) != i) return false;
  }
  return true;
}

template <typename E, std::size_t N>
constexpr std::string_view NameIn(const NameTable<E, N>& table, E value) {
  return table.at(static_cast<std::size_t>(value)).second;
}

template <typename E, std::size_t N>
constexpr std::optional<E> ParseIn(const NameTable<E, N>& table, std::string_view text) {
  for (const auto& [value, name] : table) {
    if (name == text) return value;
  }
  return std::nullopt;
}

template <typename E, std::size_t N>
constexpr std::array<std::string_view, N> NamesOf(const NameTable<E, N>& table) {
  std::array<std::string_view, N> names{};
  for (std::size_t i = 0; i < N; ++i) names[i] = table[i].second;
  return names;
}

}  // namespace tutti::spec
