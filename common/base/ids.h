// Names of things: JobId, NodeId, Attempt. Values; no two kinds can be mixed up.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace tutti {

// 40 bits, written as a prefix and 8 characters of Crockford's base 32 in lower case
// (0-9 a-z without i l o u): "j-0k3v9x2m".
template <typename Tag>
class ShortId {
 public:
  static constexpr std::uint64_t kMax = (std::uint64_t{1} << 40) - 1;

  constexpr ShortId() = default;
  // The low 40 bits of `bits` (random ones arrive from outside).
  constexpr explicit ShortId(std::uint64_t bits) : value_(bits & kMax) {}

  constexpr std::uint64_t value() const { return value_; }
  std::string ToString() const;
  // nullopt unless `text` is exactly what ToString writes.
  static std::optional<ShortId> Parse(std::string_view text);

  constexpr auto operator<=>(const ShortId&) const = default;

 private:
  std::uint64_t value_ = 0;
};

struct JobTag {
  static constexpr std::string_view kPrefix = "j-";
};
struct NodeTag {
  static constexpr std::string_view kPrefix = "w-";
};
using JobId = ShortId<JobTag>;    // a submitted job
using NodeId = ShortId<NodeTag>;  // a worker, as the ledger knows it

extern template class ShortId<JobTag>;
extern template class ShortId<NodeTag>;

template <typename Tag>
std::ostream& operator<<(std::ostream& out, const ShortId<Tag>& id) {
  return out << id.ToString();
}

// One try of a job's gang: 1, 2, …; 0 = none yet. Older attempts are fenced off everywhere.
enum class Attempt : std::uint32_t {};
constexpr std::uint32_t Number(Attempt attempt) { return static_cast<std::uint32_t>(attempt); }
constexpr Attempt Next(Attempt attempt) { return Attempt{Number(attempt) + 1}; }

}  // namespace tutti

template <typename Tag>
struct std::hash<tutti::ShortId<Tag>> {
  std::size_t operator()(const tutti::ShortId<Tag>& id) const noexcept {
    return std::hash<std::uint64_t>{}(id.value());
  }
};
