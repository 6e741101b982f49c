// Little-endian fields into a growing buffer; format/cursor.h reads them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace onebit::store {

class Writer {
 public:
  explicit Writer(size_t expected) { bytes.reserve(expected); }

  template <class Integer>
  void integer(Integer value) {
    for (size_t i = 0; i < sizeof value; ++i)
      bytes.push_back(static_cast<uint8_t>(static_cast<uint64_t>(value) >> (8 * i)));
  }
  void raw(const void* data, size_t count) {
    const auto* from = static_cast<const uint8_t*>(data);
    bytes.insert(bytes.end(), from, from + count);
  }
  // `count` bytes, the rest of them zeros; the text is not longer.
  void padded(std::string_view text, size_t count) {
    raw(text.data(), text.size());
    bytes.resize(bytes.size() + count - text.size());
  }

  std::vector<uint8_t> bytes;
};

}  // namespace onebit::store
