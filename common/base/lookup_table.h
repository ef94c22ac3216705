// A hash table that cannot be walked: nothing that is made of it depends on an order. Values stay
// where they are while others come and go.
//
// Owned by one thread at a time, as a std::map.
#pragma once

#include <cstddef>
#include <functional>
#include <unordered_map>
#include <utility>

#include "common/base/check.h"

namespace tutti {

template <typename Key, typename Value>
class LookupTable {
 public:
  // nullptr: there is none.
  const Value* Find(const Key& key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? nullptr : &found->second;
  }
  // REQUIRES: contains(key).
  const Value& at(const Key& key) const {
    const Value* value = Find(key);
    TUTTI_CHECK(value != nullptr, "no such key");
    return *value;
  }
  Value& at(const Key& key) { return const_cast<Value&>(std::as_const(*this).at(key)); }
  bool contains(const Key& key) const { return values_.contains(key); }

  // The value of `key`; one that was there before stays as it is.
  Value& Insert(const Key& key, Value value) {
    return values_.try_emplace(key, std::move(value)).first->second;
  }
  void erase(const Key& key) { values_.erase(key); }

  std::size_t size() const { return values_.size(); }
  bool empty() const { return values_.empty(); }
  bool operator==(const LookupTable&) const = default;

 private:
  std::unordered_map<Key, Value> values_;
};

}  // namespace tutti
