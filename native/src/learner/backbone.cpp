#include "learner/backbone.h"

#include <algorithm>

#include "base/error.h"
#include "learner/tail/tail.h"

namespace onebit::learner {
namespace {

[[noreturn]] void refuse(const char* what) {
  throw Error(ONEBIT_INVALID_ARGUMENT, text("this model cannot be a learner's backbone: ", what),
              "export a classifier with its features (onebit export)");
}

const Output& output(const Model& model, const char* name) {
  const auto found =
      std::find_if(model.outputs.begin(), model.outputs.end(), [name](const Output& o) { return o.name == name; });
  if (found == model.outputs.end()) refuse(text("it has no output '", name, "'").c_str());
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
  refuse("its logits are not one dense layer over the features");
}

// [classes][features] of the dense layer, its scale multiplied in; of bytes, the real numbers that they stand for.
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
  if (shape.h != 1 || shape.w != 1) refuse("its features are not 1 x 1 pixels");
  if (!range || range->size() != 2) refuse("it does not say the range of its features (META features.range)");

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
    backbone.masters = first_masters(model, *backbone.tail);
    TailItems items = first_items(model, *backbone.tail);
    backbone.item_bits.assign(items.bits, items.bits + items.count * backbone.tail->words());
    backbone.item_labels = std::move(items.labels);
  }
  return backbone;
}

std::shared_ptr<const Tail> tail_of(const Model& model) {
  return has_tail(model) ? std::make_shared<const Tail>(read_tail(model)) : nullptr;
}

}  // namespace onebit::learner
