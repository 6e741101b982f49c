#include "learner/backbone.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "learner/tail/read_model.h"

namespace onebit::learner {
namespace {

[[noreturn]] void refuse(std::string message, std::string hint = "") {
  throw Error(ONEBIT_INVALID_ARGUMENT, std::move(message), std::move(hint));
}

[[noreturn]] void refuse_model(const std::string& why) {
  refuse(text("this model cannot be a learner's backbone: ", why),
         "export a classifier with its features (onebit export)");
}

const Output& output(const Model& model, const char* name) {
  const auto found =
      std::find_if(model.outputs.begin(), model.outputs.end(), [name](const Output& o) { return o.name == name; });
  if (found == model.outputs.end()) refuse_model(text("it has no output '", name, "'"));
  return *found;
}

const Node& head(const Model& model, uint32_t features, uint32_t logits) {
  for (const Node& node : model.nodes) {
    if (node.output != logits) continue;
    const bool real_valued = node.op == Op::conv_float || node.op == Op::conv_int8;
    if (!real_valued || node.input != features || node.residual != Node::none || node.groups != 1 ||
        node.activation != Activation::none) {
      break;
    }
    return node;
  }
  refuse_model("its logits are not one dense layer over the features");
}

// The weights of the dense layer, [classes][features], times its scale; 8-bit ones as the real numbers they stand for.
std::vector<float> weights(const Node& dense, size_t classes, size_t features) {
  std::vector<float> weight(classes * features);
  if (dense.op == Op::conv_float) {
    std::copy_n(dense.weight->floats(), weight.size(), weight.begin());
  } else {
    const float multiplier = dense.multiplier->floats()[0];
    std::transform(dense.weight->bytes8(), dense.weight->bytes8() + weight.size(), weight.begin(),
                   [=](int8_t w) { return static_cast<float>(w) * multiplier; });
  }
  if (dense.scale) {
    for (size_t i = 0; i < weight.size(); ++i) weight[i] *= dense.scale->floats()[i / features];
  }
  return weight;
}

uint8_t nibble(char c) { return static_cast<uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); }

// Sets the tail's masters and the first samples of the replay memory. slot_of: the slot of each class of the head, or
// kFree.
void start_tail(Backbone& backbone, uint32_t replay, const std::vector<uint32_t>& slot_of, Constant& constant,
                State& state) {
  if (replay > kMaxReplay) refuse(text("the replay memory has at most ", kMaxReplay, " samples"));
  const auto words = static_cast<size_t>(backbone.tail->words());
  constant.tail = {replay, static_cast<uint32_t>(words), backbone.masters.weights.size(),
                   backbone.masters.parameters.size(), backbone.masters.float_weights.size()};
  state.tail = std::move(backbone.masters);
  state.replay = make_replay(replay, words);
  const size_t stored = backbone.replay_labels.size(), taken = std::min<size_t>(stored, replay);
  for (size_t j = 0, place = 0; j < taken; ++j) {
    const size_t sample = stored > replay ? static_cast<size_t>(uint64_t{j} * stored / replay) : j;
    const uint32_t label = backbone.replay_labels[sample];
    if (label >= slot_of.size()) refuse(text("a sample to replay is of class ", label), "export the model again");
    if (slot_of[label] == ReplayMemory::kFree) continue;
    state.replay.put(place++, backbone.replay_bits.data() + sample * words, slot_of[label]);
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

Hash backbone_hash(const Model& model) {
  const auto& hex = *model.entry<std::string>("weights.sha256");  // the reader has checked it
  Hash hash;
  for (size_t i = 0; i < hash.size(); ++i)
    hash[i] = static_cast<uint8_t>(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
  return hash;
}

Backbone read_backbone(const Model& model) {
  const uint32_t features = output(model, "features").value;
  const Node& dense = head(model, features, output(model, "logits").value);
  const Value& shape = model.values[features];
  const uint32_t classes = model.values[dense.output].c;
  const auto* range = model.entry<std::vector<float>>("features.range");
  if (shape.h != 1 || shape.w != 1) refuse_model("its features are not 1 x 1 pixels");
  if (!range || range->size() != 2) refuse_model("it does not say the range of its features (META features.range)");

  Backbone backbone;
  backbone.hash = backbone_hash(model);
  backbone.features = shape.c;
  backbone.low = (*range)[0];
  backbone.high = (*range)[1];
  const auto* names = model.entry<std::vector<std::string>>("classes");
  if (names && !names->empty()) backbone.names = *names;
  for (auto i = static_cast<uint32_t>(backbone.names.size()); i < classes && (!names || names->empty()); ++i) {
    backbone.names.push_back(std::to_string(i));
  }
  const auto* samples = model.entry<std::vector<uint32_t>>("classes.samples");
  backbone.samples = samples && !samples->empty() ? *samples : std::vector<uint32_t>(classes, kAssumedSamples);

  backbone.weight = weights(dense, classes, shape.c);
  if (dense.bias || dense.post) {
    backbone.bias.resize(classes);
    for (uint32_t j = 0; j < classes; ++j) {
      backbone.bias[j] = (dense.bias ? dense.bias->floats()[j] : 0.0f) + (dense.post ? dense.post->floats()[j] : 0.0f);
    }
  }
  if ((backbone.tail = tail_of(model))) {
    backbone.masters = read_masters(model, *backbone.tail);
    StoredSamples stored = read_samples(model, *backbone.tail);
    backbone.replay_bits.assign(stored.bits, stored.bits + stored.count * backbone.tail->words());
    backbone.replay_labels = std::move(stored.labels);
  }
  return backbone;
}

std::shared_ptr<const Tail> tail_of(const Model& model) {
  return has_tail(model) ? std::make_shared<const Tail>(read_tail(model)) : nullptr;
}

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
  std::vector<uint32_t> slots, slot_of(backbone.names.size(), ReplayMemory::kFree);
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
