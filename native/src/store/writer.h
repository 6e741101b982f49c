// Writes little-endian fields to memory, or to a sink a part at a time; store/reader.h reads them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace onebit::store {

class Writer {
 public:
  using Sink = std::function<void(const uint8_t* bytes, size_t count)>;

  // Writes to `bytes`.
  explicit Writer(size_t expected) { bytes.reserve(expected); }
  // Passes `part` bytes at a time to the sink, `first` the first time, and the rest at flush().
  Writer(size_t first, size_t part, Sink sink) : sink_(std::move(sink)), room_(first), part_(part) {
    bytes.reserve(part);
  }

  template <class Integer>
  void integer(Integer value) {
    uint8_t little[sizeof value];
    for (size_t i = 0; i < sizeof value; ++i) little[i] = static_cast<uint8_t>(static_cast<uint64_t>(value) >> (8 * i));
    raw(little, sizeof value);
  }
  void raw(const void* data, size_t count) {
    const auto* from = static_cast<const uint8_t*>(data);
    while (count > 0) {
      const size_t some = std::min(count, room_ - bytes.size());
      bytes.insert(bytes.end(), from, from + some);
      from += some, count -= some;
      if (bytes.size() == room_) flush();
    }
  }
  void zeros(size_t count) {
    const uint8_t none[64] = {};
    for (; count > 0; count -= std::min(count, sizeof none)) raw(none, std::min(count, sizeof none));
  }
  // Writes a text, at most `count` bytes, and zeros up to `count`.
  void padded(std::string_view text, size_t count) {
    raw(text.data(), text.size());
    zeros(count - text.size());
  }
  void flush() {
    if (!bytes.empty()) sink_(bytes.data(), bytes.size());
    bytes.clear();
    room_ = part_;
  }

  std::vector<uint8_t> bytes;  // not passed on yet

 private:
  Sink sink_;
  size_t room_ = SIZE_MAX, part_ = SIZE_MAX;
};

}  // namespace onebit::store
