#include "learner/record.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "error.h"
#include "format/cursor.h"
#include "store/writer.h"

namespace onebit::learner {
namespace {

using store::Writer;

constexpr uint32_t kRecordVersion = 1;
constexpr char kPlace[] = "the learner's record";

[[noreturn]] void impossible(const char* what) {
  throw Error(ONEBIT_BAD_FILE, text("the learner's state has an impossible ", what),
              "restore the file from a copy, or make a new learner");
}

}  // namespace

bool valid_name(const std::string& name) {
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  return !name.empty() && name.size() < kNameBytes && is_utf8(name) && std::none_of(name.begin(), name.end(), control);
}

std::vector<uint8_t> encode(const Constant& constant) {
  Writer out(64);
  const Numbers& numbers = constant.numbers;
  uint32_t step_bits;
  std::memcpy(&step_bits, &numbers.quantizer.step, sizeof step_bits);
  out.integer(kRecordVersion);
  out.raw(constant.backbone.data(), constant.backbone.size());
  out.integer(numbers.features);
  out.integer(static_cast<uint32_t>(numbers.bias));
  out.integer(step_bits);
  out.integer(numbers.quantizer.zero);
  out.integer(numbers.fraction);
  out.integer(constant.max_classes);
  out.integer(constant.max_experiences);
  return std::move(out.bytes);
}

Constant decode_constant(const std::vector<uint8_t>& bytes) {
  Cursor in(kPlace, bytes.data(), bytes.size());
  const auto version = in.u32();
  if (version != kRecordVersion)
    throw Error(ONEBIT_UNSUPPORTED, text("the learner's record has version ", version), "update onebit");
  Constant constant;
  std::memcpy(constant.backbone.data(), in.take(constant.backbone.size()), constant.backbone.size());
  Numbers& numbers = constant.numbers;
  numbers.features = in.u32();
  const auto bias = in.u32();
  const auto step_bits = in.u32();
  std::memcpy(&numbers.quantizer.step, &step_bits, sizeof step_bits);
  numbers.quantizer.zero = in.i32();
  numbers.fraction = in.i32();
  constant.max_classes = in.u32();
  constant.max_experiences = in.u32();
  numbers.bias = bias == 1;
  const float step = numbers.quantizer.step;
  if (in.left() != 0 || bias > 1 || numbers.features < 1 || numbers.features > kMaxWidth - bias || !valid_step(step) ||
      numbers.quantizer.zero < 0 || numbers.quantizer.zero > kLevels || numbers.fraction < -kMaxFraction ||
      numbers.fraction > kMaxFraction) {
    impossible("number format");
  }
  if (constant.max_classes < 1 || constant.max_classes > kMaxClasses || constant.max_experiences < 1 ||
      constant.max_experiences > kMaxExperiences) {
    impossible("size");
  }
  return constant;
}

std::vector<uint8_t> encode(const State& state) {
  const size_t width = state.cw.size() / state.classes.size();
  Writer out(state.cw.size() * 2 + state.classes.size() * (kNameBytes + 4) + state.experiences.size() * 8 + 16);
  out.integer(state.random.state);
  out.integer(state.taught);
  for (const uint64_t id : state.experiences) out.integer(id);
  for (size_t j = 0; j < state.classes.size(); ++j) {
    out.padded(state.classes[j].name, kNameBytes);
    out.integer(state.classes[j].past);
    for (size_t i = 0; i < width; ++i) out.integer(state.cw[j * width + i]);
  }
  return std::move(out.bytes);
}

State decode_state(const Constant& constant, const std::vector<uint8_t>& bytes) {
  const size_t width = constant.numbers.width();
  const size_t expected =
      16 + size_t{8} * constant.max_experiences + constant.max_classes * (kNameBytes + 4 + 2 * width);
  if (bytes.size() != expected) impossible("length");
  Cursor in(kPlace, bytes.data(), bytes.size());
  State state;
  state.random.state = in.u64();
  state.taught = in.u64();
  state.experiences.resize(constant.max_experiences);
  for (uint64_t& id : state.experiences) id = in.u64();
  state.classes.resize(constant.max_classes);
  state.cw.resize(constant.max_classes * width);
  std::set<std::string> names;
  for (size_t j = 0; j < state.classes.size(); ++j) {
    ClassSlot& slot = state.classes[j];
    const auto* name = reinterpret_cast<const char*>(in.take(kNameBytes));
    slot.name.assign(name, std::find(name, name + kNameBytes, '\0'));
    slot.past = in.u32();
    for (size_t i = 0; i < width; ++i) state.cw[j * width + i] = in.integer<int16_t>();
    if (slot.name.empty() ? slot.past != 0 : !valid_name(slot.name) || !names.insert(slot.name).second)
      impossible("class");
  }
  return state;
}

}  // namespace onebit::learner
