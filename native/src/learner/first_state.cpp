#include "learner/first_state.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "learner/tail/tail.h"

namespace onebit::learner {
namespace {

[[noreturn]] void refuse(std::string message, std::string hint = "") {
  throw Error(ONEBIT_INVALID_ARGUMENT, std::move(message), std::move(hint));
}

// The tail's masters and the first items of the replay memory; slot_of: of each class of the head, or kFree.
void start_tail(Backbone& backbone, uint32_t replay, const std::vector<uint32_t>& slot_of, Constant& constant,
                State& state) {
  if (replay > kMaxItems) refuse(text("the replay memory has at most ", kMaxItems, " items"));
  const auto words = static_cast<size_t>(backbone.tail->words());
  constant.tail = {replay, static_cast<uint32_t>(words), backbone.masters.weights.size(),
                   backbone.masters.parameters.size(), backbone.masters.reals.size()};
  state.tail = std::move(backbone.masters);
  state.replay = make_replay(replay, words);
  const size_t items = backbone.item_labels.size(), taken = std::min<size_t>(items, replay);
  for (size_t j = 0, place = 0; j < taken; ++j) {
    const size_t item = items > replay ? static_cast<size_t>(uint64_t{j} * items / replay) : j;
    const uint32_t label = backbone.item_labels[item];
    if (label >= slot_of.size()) refuse(text("an item to replay is of class ", label), "export the model again");
    if (slot_of[label] == Replay::kFree) continue;
    state.replay.put(place++, backbone.item_bits.data() + item * words, slot_of[label]);
  }
}

void check_backbone(const Backbone& b) {
  const size_t classes = b.names.size();
  if (b.features < 1 || b.features + !b.bias.empty() > kMaxWidth)
    refuse(text("a learner reads 1 to ", kMaxWidth - 1, " features"));
  if (b.samples.size() != classes || b.weight.size() != classes * b.features ||
      (!b.bias.empty() && b.bias.size() != classes)) {
    refuse("the head does not fit the class names", "export the model again");
  }
  const auto finite = [](float v) { return std::isfinite(v); };
  if (!std::all_of(b.weight.begin(), b.weight.end(), finite) || !std::all_of(b.bias.begin(), b.bias.end(), finite)) {
    refuse("the head has weights that are not finite", "export the model again");
  }
  if (!std::isfinite(b.low) || !std::isfinite(b.high) || b.low > b.high) {
    refuse(text("the range of the features is not a range: ", b.low, " to ", b.high),
           "export the model with calibration images");
  }
}

}  // namespace

std::pair<Constant, State> first_state(Backbone backbone, const Options& options) {
  check_backbone(backbone);
  Constant constant;
  constant.backbone = backbone.hash;
  constant.max_classes = options.max_classes;
  constant.max_experiences = options.max_experiences;
  Numbers& numbers = constant.numbers;
  numbers.features = backbone.features;
  numbers.bias = !backbone.bias.empty();
  numbers.quantizer = FeatureQuantizer::from_range(backbone.low, backbone.high);
  if (!valid_step(numbers.quantizer.step)) {
    refuse(text("the range of the features is too small or too large: ", backbone.low, " to ", backbone.high),
           "export the model with calibration images");
  }
  if (options.max_classes < 1 || options.max_classes > kMaxClasses || options.max_experiences < 1 ||
      options.max_experiences > kMaxExperiences) {
    refuse(text("max_classes is 1 to ", kMaxClasses, " and max_experiences 1 to ", kMaxExperiences));
  }

  State state;
  const size_t width = numbers.width();
  state.classes.resize(options.max_classes);
  state.cw.resize(options.max_classes * width);
  state.experiences.resize(options.max_experiences);
  state.random.state = options.seed;

  const double column = static_cast<double>(numbers.quantizer.step) * numbers.bias_level();
  std::vector<double> rows;
  std::vector<uint32_t> slots, slot_of(backbone.names.size(), Replay::kFree);
  for (size_t j = 0; j < backbone.names.size(); ++j) {
    if (backbone.samples[j] == 0) continue;
    const size_t before = state.seen().size();
    slots.push_back(state.slot_for(backbone.names[j]));
    slot_of[j] = slots.back();
    if (state.seen().size() == before) refuse(text("the backbone has the class ", quoted(backbone.names[j]), " twice"));
    state.classes[slots.back()].past = backbone.samples[j];
    const float* weight = backbone.weight.data() + j * backbone.features;
    rows.insert(rows.end(), weight, weight + backbone.features);
    if (numbers.bias) rows.push_back(static_cast<double>(backbone.bias[j]) / column);
  }
  double mean = 0, largest = 0;
  for (const double w : rows) mean += w;
  if (!rows.empty()) mean /= static_cast<double>(rows.size());
  for (double& w : rows) largest = std::max(largest, std::fabs(w -= mean));
  // Room for weights four times as large as the head's; without a head, for logits of 4 from one feature.
  if (largest == 0) largest = 1 / (static_cast<double>(numbers.quantizer.step) * kLevels);
  numbers.fraction = 13 - static_cast<int32_t>(std::ceil(std::log2(largest)));
  if (std::abs(numbers.fraction) > kMaxFraction)
    refuse("the head's weights are too small or too large", "scale the features in the model");
  for (size_t k = 0; k < slots.size(); ++k) {
    for (size_t i = 0; i < width; ++i) {
      const double master = std::nearbyint(std::ldexp(rows[k * width + i], numbers.fraction));
      state.cw[slots[k] * width + i] = saturate16(static_cast<int64_t>(master));
    }
  }
  if (backbone.tail && options.replay) start_tail(backbone, options.replay, slot_of, constant, state);
  return {constant, std::move(state)};
}

}  // namespace onebit::learner
