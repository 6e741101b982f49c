#include "learner/tail/read_model.h"

#include <algorithm>
#include <cmath>

#include "base/cursor.h"
#include "base/error.h"
#include "gradient/products.h"
#include "kernels/shape.h"

namespace onebit::learner {
namespace {

constexpr int64_t kMaxTerms = 32767;   // per dot product: those of bits are held in 16 bits
constexpr int64_t kMaxWindows = 4096;  // that a pool lays over one pixel: sums of their gradients are held in 32 bits

template <class... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
  throw Error(ONEBIT_INVALID_ARGUMENT, text("the tail of this model cannot be trained: ", parts...),
              "export the model again with onebit, teachable");
}

template <class Type>
const Type& entry(const Model& model, const char* key) {
  const Type* found = model.entry<Type>(key);
  if (!found) refuse("META ", key, " is absent");
  return *found;
}

int32_t fixed(double value, double limit = static_cast<double>(kMaxMaster)) {
  return static_cast<int32_t>(std::nearbyint(std::clamp(value, -limit, limit)));
}

uint32_t output_of(const Model& model, const char* name) {
  for (const Output& output : model.outputs)
    if (output.name == name) return output.value;
  refuse("it has no output '", name, "'");
}

// The nodes from `latents` to `features`, in order.
std::vector<const Node*> tail_nodes(const Model& model, uint32_t latents, uint32_t features) {
  std::vector<bool> depends(model.values.size()), needed(model.values.size());
  depends[latents] = needed[features] = true;
  const auto given = [](const Node& node, const std::vector<bool>& marked) {
    return marked[node.input] || (node.residual != Node::none && marked[node.residual]);
  };
  for (const Node& node : model.nodes)
    if (given(node, depends)) depends[node.output] = true;
  std::vector<const Node*> nodes;
  for (auto node = model.nodes.rbegin(); node != model.nodes.rend(); ++node) {
    if (!needed[node->output] || !depends[node->output] || node->output == latents) continue;
    nodes.push_back(&*node);
    for (const uint32_t input : {node->input, node->residual}) {
      if (input == Node::none) continue;
      if (!depends[input]) refuse(quoted(node->name), " reads what comes from before the latents");
      needed[input] = true;
    }
  }
  std::reverse(nodes.begin(), nodes.end());
  return nodes;
}

// The real number that a level of a float convolution's weights stands for: the largest has kLargestLevel, so that
// weights may grow by a third.
double weight_level(const Tensor& weight) {
  constexpr double kLargestLevel = 96;
  float largest = 0;
  for (uint64_t i = 0; i < weight.bytes / sizeof(float); ++i)
    largest = std::max(largest, std::fabs(weight.floats()[i]));
  if (!valid_step(largest)) refuse("the largest weight of a real-valued convolution is ", largest);
  return static_cast<double>(largest) / kLargestLevel;
}

const Node& maker(const Model& model, uint32_t value) {
  for (const Node& node : model.nodes)
    if (node.output == value) return node;
  refuse("an input of it is that of the network");
}

// Makes layers of the nodes of a file.
class Reader {
 public:
  explicit Reader(const Model& model)
      : model_(model), place_(model.values.size(), -1), ranges_(entry<std::vector<float>>(model, "tail.ranges")) {}

  Tail read() {
    const uint32_t latents = output_of(model_, "latents"), features = output_of(model_, "features");
    const auto nodes = tail_nodes(model_, latents, features);
    if (nodes.empty() || nodes.back()->output != features) refuse("the features do not come from the latents");
    read_latents(latents);
    for (const Node* node : nodes) {
      if (node->op == Op::binarize) {
        binarizes_.push_back({node, false});
      } else {
        read_layer(*node);
      }
    }
    if (ranges_.size() != 2 * tail_.values.size()) refuse("META tail.ranges is not a pair for each of its values");
    const auto& range = entry<std::vector<float>>(model_, "features.range");
    if (!std::equal(range.begin(), range.end(), ranges_.end() - 2)) refuse("its features have two ranges");
    if (entry<std::vector<uint32_t>>(model_, "tail.latent").size() != convolutions_)
      refuse("META tail.latent is not a tensor for each of its convolutions");
    return std::move(tail_);
  }

 private:
  struct Binarize {
    const Node* node;
    bool taken;
  };

  void add_value(uint32_t value) {
    const Value& shape = model_.values[value];
    const size_t at = 2 * tail_.values.size();
    if (at + 2 > ranges_.size()) refuse("META tail.ranges is not a pair for each of its values");
    const auto quantizer = FeatureQuantizer::from_range(ranges_[at], ranges_[at + 1]);
    if (!valid_step(quantizer.step))
      refuse("the range of a value, ", ranges_[at], " to ", ranges_[at + 1], ", is too small or too large");
    place_[value] = static_cast<int64_t>(tail_.values.size());
    tail_.values.push_back(
        {static_cast<int32_t>(shape.h), static_cast<int32_t>(shape.w), static_cast<int32_t>(shape.c), quantizer});
  }

  // The latents are +-s, with an s per channel.
  void read_latents(uint32_t value) {
    const Node& node = maker(model_, value);
    const bool signs = node.op == Op::conv_binary && node.groups == static_cast<int32_t>(model_.values[value].c) &&
                       node.kernel_h == 1 && node.kernel_w == 1 && node.scale && !node.bias && !node.post &&
                       node.residual == Node::none && node.activation == Activation::none &&
                       is_zero(static_cast<const uint8_t*>(node.weight->data), node.weight->bytes);
    if (!signs) refuse("its latents are not signs with a number per channel");
    add_value(value);
    const TailValue& latents = tail_.latents();
    for (int32_t c = 0; c < latents.c; ++c) {
      const float s = node.scale->floats()[c];
      if (!(s >= 0)) refuse("a latent's size is ", s);
      const auto code = [&](float v) { return static_cast<uint8_t>(latents.quantizer(v) + latents.quantizer.zero); };
      tail_.plus.push_back(code(s));
      tail_.minus.push_back(code(-s));
    }
  }

  uint32_t input_of(const Node& node) {
    if (node.op != Op::conv_binary) return static_cast<uint32_t>(place_[node.input]);
    const auto found = std::find_if(binarizes_.begin(), binarizes_.end(),
                                    [&](const Binarize& b) { return b.node->output == node.input; });
    if (found == binarizes_.end()) refuse(quoted(node.name), " reads bits that no binarize makes");
    if (found->taken) refuse(quoted(found->node->name), " is read by two convolutions");
    found->taken = true;
    return static_cast<uint32_t>(place_[found->node->input]);
  }

  void read_layer(const Node& node) {
    const std::string name = quoted(node.name);
    if (model_.values[node.output].type != ValueType::f32) refuse(name, " gives bits");
    TailLayer layer{};
    layer.op = node.op;
    layer.input = input_of(node);
    layer.residual = node.residual == Node::none ? -1 : place_[node.residual];
    layer.activation = node.activation;
    add_value(node.output);
    const TailValue &in = tail_.values[layer.input], &out = tail_.values.back();
    switch (node.op) {
      case Op::conv_binary:
      case Op::conv_float: convolution(node, in, out, layer); break;
      case Op::pointwise: layer.source = in.step(); break;
      case Op::average_pool:
      case Op::max_pool: pool(node, in, out, layer); break;
      case Op::pad_channels: layer.channels_before = static_cast<int32_t>(node.channels_before); break;
      default: refuse(name, " is a ", op_name(node.op));
    }
    layer.ratio = Factor::from(in.step() / (static_cast<double>(layer.count) * out.step()));
    if (layer.trained()) {
      if (layer.residual >= 0)
        layer.residual_factor = fixed(tail_.values[static_cast<size_t>(layer.residual)].step() / out.step() * 65536);
      layer.limit = fixed(65536 / out.step());
      layer.present = {node.scale != nullptr, node.bias != nullptr, node.slope != nullptr, node.post != nullptr};
      int64_t& weights = layer.op == Op::conv_float ? tail_.float_weights : tail_.weights;
      layer.weights = weights;
      layer.parameters = tail_.parameters;
      weights += layer.weight_count();
      tail_.parameters += 4 * int64_t{out.c};
    }
    tail_.layers.push_back(std::move(layer));
  }

  static ConvShape shape_of(const Node& node, const TailValue& in, const TailValue& out) {
    return {1,
            in.h,
            in.w,
            in.c,
            out.h,
            out.w,
            out.c,
            node.kernel_h,
            node.kernel_w,
            node.stride_h,
            node.stride_w,
            node.pad_top,
            node.pad_left,
            node.dilation_h,
            node.dilation_w,
            node.groups};
  }

  static void pool(const Node& node, const TailValue& in, const TailValue& out, TailLayer& layer) {
    layer.shape = shape_of(node, in, out);
    const auto windows = [](int64_t kernel, int64_t stride, int64_t all) {
      return std::min(all, (kernel + stride - 1) / stride);
    };
    if (windows(node.kernel_h, node.stride_h, out.h) * windows(node.kernel_w, node.stride_w, out.w) > kMaxWindows)
      refuse(quoted(node.name), " is a pool whose windows overlap more than ", kMaxWindows, " times");
    if (node.op == Op::max_pool) return;
    if (node.pad_top || node.pad_left || node.pad_bottom || node.pad_right)
      refuse(quoted(node.name), " is an average pool with padding");
    layer.count = taps_of(layer.shape);
  }

  void convolution(const Node& node, const TailValue& in, const TailValue& out, TailLayer& layer) {
    const std::string name = quoted(node.name);
    layer.shape = shape_of(node, in, out);
    if (const char* why = Products::unfit(layer.shape)) refuse(name, " has ", why);
    if (node.pad_value != 0) refuse(name, " has padding of ", node.pad_value);
    if (taps_of(layer.shape) * in.c > kMaxTerms) refuse(name, " has a dot product of more than ", kMaxTerms, " terms");
    if (node.op == Op::conv_float) {
      layer.level = weight_level(*node.weight);
      layer.source = layer.level * in.step();
    } else {
      binary(node, in, layer);
    }
  }

  // Reads the binarize and the latent weights' range of a binary convolution.
  void binary(const Node& node, const TailValue& in, TailLayer& layer) {
    const auto& largest = entry<std::vector<float>>(model_, "tail.latent_max");
    const auto& estimators = entry<std::vector<uint32_t>>(model_, "tail.estimators");
    if (convolutions_ >= largest.size() || convolutions_ >= estimators.size())
      refuse("META tail.latent_max and tail.estimators are not one for each of its convolutions");
    if (!valid_step(largest[convolutions_])) refuse("the largest latent weight is ", largest[convolutions_]);
    const uint32_t estimator = estimators[convolutions_];
    if (estimator != 1 && estimator != 2) refuse("there is no estimator ", estimator);
    layer.largest = static_cast<double>(largest[convolutions_]);
    layer.estimator = static_cast<Estimator>(estimator);
    ++convolutions_;
    layer.step = fixed(in.step() * 32768, 1 << 22);

    const auto binarize = std::find_if(binarizes_.begin(), binarizes_.end(),
                                       [&](const Binarize& b) { return b.node->output == node.input; });
    const float* interval = binarize->node->interval->floats();
    for (int32_t c = 0; c < in.c; ++c) {
      const auto lower = static_cast<double>(interval[2 * c]);
      if (!(interval[2 * c + 1] == INFINITY)) refuse(quoted(binarize->node->name), " has an upper bound");
      const double level = std::clamp(std::ceil(lower / in.step()), -1000.0, 1000.0);
      layer.thresholds.push_back(static_cast<int16_t>(static_cast<int32_t>(level) + in.quantizer.zero));
      layer.centres.push_back(fixed(lower * 32768));
    }
  }

  const Model& model_;
  std::vector<int64_t> place_;  // where each value of the file is in the tail, or -1
  const std::vector<float>& ranges_;
  std::vector<Binarize> binarizes_;
  size_t convolutions_ = 0;
  Tail tail_;
};

// The nodes of the file that the layers stand for, in order.
std::vector<const Node*> layer_nodes(const Model& model) {
  auto nodes = tail_nodes(model, output_of(model, "latents"), output_of(model, "features"));
  nodes.erase(std::remove_if(nodes.begin(), nodes.end(), [](const Node* node) { return node->op == Op::binarize; }),
              nodes.end());
  return nodes;
}

}  // namespace

bool has_tail(const Model& model) { return model.meta.count("tail.ranges") != 0; }

Tail read_tail(const Model& model) { return Reader(model).read(); }

TailMasters read_masters(const Model& model, const Tail& tail) {
  TailMasters masters;
  masters.weights.reserve(static_cast<size_t>(tail.weights));
  masters.parameters.reserve(static_cast<size_t>(tail.parameters));
  masters.float_weights.reserve(static_cast<size_t>(tail.float_weights));
  const auto nodes = layer_nodes(model);
  const auto& latents = entry<std::vector<uint32_t>>(model, "tail.latent");
  size_t convolutions = 0;
  for (size_t i = 0; i < tail.layers.size(); ++i) {
    const TailLayer& layer = tail.layers[i];
    if (!layer.trained()) continue;
    const Node& node = *nodes[i];
    const TailValue& out = tail.values[i + 1];
    if (layer.op == Op::conv_binary) {
      const Tensor& latent = model.tensors[latents[convolutions++]];
      if (latent.dims != node.weight->dims) refuse("the latent weights of ", quoted(node.name), " have another shape");
      const int64_t rows = latent.bytes / latent.dims[3], words = words_of(latent.dims[3]);
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t c = 0; c < latent.dims[3]; ++c) {
          const bool negative = node.weight->words()[row * words + c / 32] >> (c % 32) & 1u;
          const int8_t weight = latent.bytes8()[row * latent.dims[3] + c];
          if (negative != (weight < 0)) refuse("the latent weights of ", quoted(node.name), " have other signs");
          masters.weights.push_back(weight);
        }
      }
    }
    if (layer.op == Op::conv_float) {
      for (int64_t j = 0; j < layer.weight_count(); ++j) {
        const double levels = static_cast<double>(node.weight->floats()[j]) / layer.level;
        masters.float_weights.push_back(static_cast<int16_t>(fixed(std::ldexp(levels, kFloatWeightFraction))));
      }
    }
    const auto add = [&](const Tensor* tensor, double absent, const auto& scaled) {
      for (int32_t c = 0; c < out.c; ++c)
        masters.parameters.push_back(fixed(scaled(tensor ? static_cast<double>(tensor->floats()[c]) : absent)));
    };
    add(node.scale, 1, [&](double scale) { return std::ldexp(scale * layer.source / out.step(), layer.fraction()); });
    add(node.bias, 0, [&](double bias) { return bias / out.step() * 65536; });
    add(node.slope, 0, [](double slope) { return slope * 65536; });
    add(node.post, 0, [&](double post) { return post / out.step() * 65536; });
  }
  return masters;
}

StoredSamples read_samples(const Model& model, const Tail& tail) {
  StoredSamples samples;
  const auto* replay = model.entry<std::vector<uint32_t>>("tail.replay");
  if (!replay) return samples;
  const Tensor& bits = model.tensors[replay->front()];
  const TailValue& latents = tail.latents();
  const auto side = [](int32_t v) { return static_cast<uint32_t>(v); };
  if (bits.dims[1] != side(latents.h) || bits.dims[2] != side(latents.w) || bits.dims[3] != side(latents.c))
    refuse("the samples of META tail.replay have another shape than the latents");
  samples.count = bits.dims[0];
  samples.bits = bits.words();
  samples.labels.assign(replay->begin() + 1, replay->end());
  return samples;
}

}  // namespace onebit::learner
