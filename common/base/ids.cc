#include "common/base/ids.h"

namespace tutti {
namespace {

constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr int kCharacters = 8;

}  // namespace

template <typename Tag>
std::string ShortId<Tag>::ToString() const {
  std::string text(Tag::kPrefix);
  for (int i = kCharacters - 1; i >= 0; --i) text += kAlphabet[(value_ >> (5 * i)) & 31];
  return text;
}

template <typename Tag>
std::optional<ShortId<Tag>> ShortId<Tag>::Parse(std::string_view text) {
  if (!text.starts_with(Tag::kPrefix)) return std::nullopt;
  text.remove_prefix(Tag::kPrefix.size());
  if (text.size() != kCharacters) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    const auto digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    value = value << 5 | digit;
  }
  return ShortId(value);
}

template class ShortId<JobTag>;
template class ShortId<NodeTag>;

}  // namespace tutti
