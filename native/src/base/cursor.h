// Reads little-endian fields from a stretch of bytes and never past its end.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/error.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "an .obn file is used in place and is little-endian"
#endif

namespace onebit {

// Throws the error of a file that breaks the format.
template <class... Parts>
[[noreturn]] void bad_file(const Parts&... parts) {
  throw Error(ONEBIT_BAD_FILE, text(parts...), "export the model again, or copy it again from where it came");
}

inline bool is_zero(const uint8_t* bytes, uint64_t size) {
  for (uint64_t i = 0; i < size; ++i)
    if (bytes[i] != 0) return false;
  return true;
}

// Whether the bytes are well-formed UTF-8 (no overlong forms, no surrogates).
bool is_utf8(std::string_view bytes);

class Cursor {
 public:
  // `place` names the stretch in messages.
  Cursor(std::string place, const uint8_t* data, uint64_t size) : place_(std::move(place)), data_(data), left_(size) {}

  template <class Integer>
  Integer integer() {
    static_assert(std::is_integral_v<Integer>);
    Integer value;
    std::memcpy(&value, take(sizeof value), sizeof value);
    return value;
  }
  uint16_t u16() { return integer<uint16_t>(); }
  uint32_t u32() { return integer<uint32_t>(); }
  uint64_t u64() { return integer<uint64_t>(); }
  int32_t i32() { return integer<int32_t>(); }

  const uint8_t* take(uint64_t size) {
    if (size > left_) bad_file(place_, " ends too early: ", size, " bytes are wanted and ", left_, " are left");
    const uint8_t* start = data_;
    data_ += size;
    left_ -= size;
    return start;
  }

  std::string utf8(uint64_t size) {
    const std::string value(reinterpret_cast<const char*>(take(size)), size);
    if (!is_utf8(value) || value.find('\0') != std::string::npos)
      bad_file(place_, " has a text that is not UTF-8 without NUL");
    return value;
  }

  // A zero-padded field that ends with at least one zero.
  std::string padded_utf8(uint64_t size) {
    std::string field(reinterpret_cast<const char*>(take(size)), size);
    const size_t length = field.find('\0');
    if (length == std::string::npos || field.find_first_not_of('\0', length) != std::string::npos)
      bad_file(place_, " has a name that is not padded with zeros");
    field.resize(length);
    if (!is_utf8(field)) bad_file(place_, " has a name that is not UTF-8");
    return field;
  }

  // A list with `size` bytes per element must fit before room is made for it.
  void expect_room(uint64_t count, uint64_t size) const {
    if (count > left_ / size) bad_file(place_, " ends too early: it has no room for ", count, " entries");
  }

  void expect_end() const {
    if (left_ != 0) bad_file(place_, " has ", left_, " bytes too many");
  }

  uint64_t left() const { return left_; }

 private:
  std::string place_;
  const uint8_t* data_;
  uint64_t left_;
};

}  // namespace onebit
