#include "learner/record.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/cursor.h"
#include "base/error.h"
#include "learner/tail/tail.h"

namespace onebit::learner {
namespace {

using store::Reader;
using store::Writer;

constexpr uint32_t kHeadVersion = 1, kTailVersion = 2, kRealVersion = 3;
constexpr uint64_t kMaxTailBytes = uint64_t{1} << 34;  // per part
constexpr uint64_t kMaxTaught = uint64_t{1} << 62;     // far from overflow
constexpr char kPlace[] = "the learner's record";

[[noreturn]] void impossible(const char* what) {
  throw Error(ONEBIT_BAD_FILE, text("the learner's state has an impossible ", what),
              "restore the file from a copy, or make a new learner");
}

void put_tail(const State& state, Writer& out) {
  out.raw(reinterpret_cast<const uint8_t*>(state.tail.weights.data()), state.tail.weights.size());
  for (const int32_t parameter : state.tail.parameters) out.integer(parameter);
  for (const int16_t real : state.tail.float_weights) out.integer(real);
  for (const uint32_t slot : state.replay.slots) out.integer(slot);
  for (const uint32_t word : state.replay.bits) out.integer(word);
}

uint64_t tail_bytes(const TailSizes& tail) {
  return tail.weights + 4 * tail.parameters + 2 * tail.float_weights +
         uint64_t{4} * tail.samples * (1 + uint64_t{tail.words});
}

void take_tail(const TailSizes& sizes, Reader& in, State& state) {
  state.tail.weights.resize(sizes.weights);
  in.raw(state.tail.weights.data(), sizes.weights);
  state.tail.parameters.resize(sizes.parameters);
  for (int32_t& parameter : state.tail.parameters) {
    parameter = in.integer<int32_t>();
    if (std::abs(int64_t{parameter}) > kMaxMaster) impossible("tail");
  }
  state.tail.float_weights.resize(sizes.float_weights);
  for (int16_t& real : state.tail.float_weights) {
    real = in.integer<int16_t>();
    if (std::abs(int32_t{real}) > kMaxFloatWeight) impossible("tail");
  }
  if (std::find(state.tail.weights.begin(), state.tail.weights.end(), int8_t{-128}) != state.tail.weights.end())
    impossible("tail");
  state.replay = make_replay(sizes.samples, sizes.words);
  for (uint32_t& slot : state.replay.slots) {
    slot = in.integer<uint32_t>();
    if (slot != ReplayMemory::kFree && (slot >= state.classes.size() || state.classes[slot].name.empty()))
      impossible("replayed sample");
  }
  for (uint32_t& word : state.replay.bits) word = in.integer<uint32_t>();
}

}  // namespace

bool Constant::fits(const Tail& model_tail) const {
  const TailValue& features = model_tail.features();
  return numbers.features == static_cast<uint32_t>(features.elements()) &&
         numbers.quantizer.zero == features.quantizer.zero && tail.words == model_tail.words() &&
         tail.weights == static_cast<uint64_t>(model_tail.weights) &&
         tail.parameters == static_cast<uint64_t>(model_tail.parameters) &&
         tail.float_weights == static_cast<uint64_t>(model_tail.float_weights);
}

std::vector<uint8_t> encode(const Constant& constant) {
  Writer out(64);
  const Numbers& numbers = constant.numbers;
  uint32_t step_bits;
  std::memcpy(&step_bits, &numbers.quantizer.step, sizeof step_bits);
  out.integer(!constant.tail.any() ? kHeadVersion : constant.tail.float_weights ? kRealVersion : kTailVersion);
  out.raw(constant.backbone.data(), constant.backbone.size());
  out.integer(numbers.features);
  out.integer(static_cast<uint32_t>(numbers.bias));
  out.integer(step_bits);
  out.integer(numbers.quantizer.zero);
  out.integer(numbers.fraction);
  out.integer(constant.max_classes);
  out.integer(constant.max_experiences);
  if (constant.tail.any()) {
    out.integer(constant.tail.samples);
    out.integer(constant.tail.words);
    out.integer(constant.tail.weights);
    out.integer(constant.tail.parameters);
    if (constant.tail.float_weights) out.integer(constant.tail.float_weights);
  }
  return std::move(out.bytes);
}

Constant decode_constant(const std::vector<uint8_t>& bytes) {
  Cursor in(kPlace, bytes.data(), bytes.size());
  const auto version = in.u32();
  if (version < kHeadVersion || version > kRealVersion)
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
  if (version != kHeadVersion) {
    TailSizes& tail = constant.tail;
    tail.samples = in.u32();
    tail.words = in.u32();
    tail.weights = in.u64();
    tail.parameters = in.u64();
    if (version == kRealVersion && (tail.float_weights = in.u64()) == 0) impossible("tail");
    if (!tail.any() || tail.samples > kMaxReplay || tail.words > kMaxTailBytes / 4 / tail.samples ||
        tail.weights > kMaxTailBytes || tail.parameters > kMaxTailBytes / 4 || tail.float_weights > kMaxTailBytes / 2)
      impossible("tail");
  }
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

uint64_t state_bytes(const Constant& constant) {
  return 16 + uint64_t{8} * constant.max_experiences +
         constant.max_classes * (kNameBytes + 4 + 2 * uint64_t{constant.numbers.width()}) + tail_bytes(constant.tail);
}

void encode(const State& state, Writer& out) {
  const size_t width = state.cw.size() / state.classes.size();
  out.integer(state.random.state);
  out.integer(state.taught);
  for (const uint64_t id : state.experiences) out.integer(id);
  for (size_t j = 0; j < state.classes.size(); ++j) {
    out.padded(state.classes[j].name, kNameBytes);
    out.integer(state.classes[j].past);
    for (size_t i = 0; i < width; ++i) out.integer(state.cw[j * width + i]);
  }
  put_tail(state, out);
}

State decode_state(const Constant& constant, Reader& in) {
  const size_t width = constant.numbers.width();
  if (in.left() != state_bytes(constant)) impossible("length");
  State state;
  state.random.state = in.integer<uint64_t>();
  state.taught = in.integer<uint64_t>();
  if (state.taught > kMaxTaught) impossible("count of experiences");
  state.experiences.resize(constant.max_experiences);
  for (uint64_t& id : state.experiences) id = in.integer<uint64_t>();
  state.classes.resize(constant.max_classes);
  state.cw.resize(constant.max_classes * width);
  std::set<std::string> names;
  for (size_t j = 0; j < state.classes.size(); ++j) {
    ClassSlot& slot = state.classes[j];
    char name[kNameBytes];
    in.raw(name, kNameBytes);
    slot.name.assign(name, std::find(name, name + kNameBytes, '\0'));
    slot.past = in.integer<uint32_t>();
    for (size_t i = 0; i < width; ++i) state.cw[j * width + i] = in.integer<int16_t>();
    if (slot.name.empty() ? slot.past != 0 : !valid_name(slot.name) || !names.insert(slot.name).second)
      impossible("class");
  }
  take_tail(constant.tail, in, state);
  return state;
}

}  // namespace onebit::learner
