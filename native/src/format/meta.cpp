#include "format/sections.h"

namespace onebit {
namespace {

enum class MetaType : uint8_t { text = 1, texts = 2, floats = 3, integers = 4 };

template <class Number>
std::vector<Number> numbers(const uint8_t* data, uint64_t size, const std::string& place) {
  static_assert(sizeof(Number) == 4);
  if (size % 4 != 0) bad_file(place, ": ", size, " bytes are no list of 4-byte numbers");
  std::vector<Number> values(size / 4);
  if (size > 0) std::memcpy(values.data(), data, size);
  return values;
}

MetaValue read_value(MetaType type, const uint8_t* data, uint64_t size, const std::string& place) {
  Cursor cursor(place, data, size);
  switch (type) {
    case MetaType::text: return cursor.utf8(size);
    case MetaType::texts: {
      std::vector<std::string> texts;
      while (cursor.left() > 0) texts.push_back(cursor.utf8(cursor.u32()));
      return texts;
    }
    case MetaType::floats: return numbers<float>(data, size, place);
    case MetaType::integers: return numbers<uint32_t>(data, size, place);
  }
  bad_file(place, ": there is no type ", static_cast<unsigned>(type));
}

}  // namespace

Meta read_meta(const Section& section) {
  constexpr uint64_t least_entry = 8;
  Cursor cursor = section.cursor();
  const uint32_t count = cursor.u32();
  cursor.expect_room(count, least_entry);
  Meta meta;
  std::string previous;
  for (uint32_t i = 0; i < count; ++i) {
    const uint16_t key_length = cursor.u16();
    const auto type = static_cast<MetaType>(cursor.integer<uint8_t>());
    const auto zero = cursor.integer<uint8_t>();
    const uint32_t value_length = cursor.u32();
    const std::string key = cursor.utf8(key_length);
    const std::string place = text("META: entry ", quoted(key));
    if (zero != 0) bad_file(place, ": the byte after the type is not zero");
    if (i > 0 && key <= previous)
      bad_file(place, " stands after ", quoted(previous), ": keys must be unique and ascending");
    const uint8_t* value = cursor.take(value_length);
    meta.emplace(key, read_value(type, value, value_length, place));
    previous = key;
  }
  cursor.expect_end();
  return meta;
}

}  // namespace onebit
