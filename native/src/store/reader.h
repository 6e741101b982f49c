// Reads little-endian fields from a source that is read a part at a time; store/writer.h writes them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.h"

namespace onebit::store {

class Reader {
 public:
  // Fills `bytes` with the next `count` bytes of the source.
  using Source = std::function<void(uint8_t* bytes, size_t count)>;

  // A source of `size` bytes, which is asked for `part` of them at a time.
  Reader(uint64_t size, size_t part, Source source) : source_(std::move(source)), left_(size), part_(part) {}

  uint64_t left() const { return left_ + bytes_.size() - at_; }

  template <class Integer>
  Integer integer() {
    static_assert(std::is_integral_v<Integer>);
    Integer value;
    raw(&value, sizeof value);
    return value;
  }
  void raw(void* to, size_t count) {
    if (count > left())
      throw Error(ONEBIT_BAD_FILE, "the learner's state ends too early",
                  "restore the file from a copy, or make a new learner");
    auto* next = static_cast<uint8_t*>(to);
    while (count > 0) {
      if (at_ == bytes_.size()) refill();
      const size_t some = std::min(count, bytes_.size() - at_);
      std::memcpy(next, bytes_.data() + at_, some);
      next += some, at_ += some, count -= some;
    }
  }

 private:
  void refill() {
    bytes_.resize(static_cast<size_t>(std::min<uint64_t>(left_, part_)));
    source_(bytes_.data(), bytes_.size());
    left_ -= bytes_.size();
    at_ = 0;
  }

  Source source_;
  uint64_t left_;
  size_t part_, at_ = 0;
  std::vector<uint8_t> bytes_;
};

}  // namespace onebit::store
