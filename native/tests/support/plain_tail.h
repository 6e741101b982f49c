// The arithmetic of the tail (docs/learner.md) once more, plainly: from the file's nodes, one number at a time.
#pragma once

#include "format/model.h"
#include "integer/quantizer.h"
#include "learner/tail/masters.h"
#include "learner/tail/tail.h"
#include "plain_layer.h"
#include "random_cases.h"

namespace onebit::test {

using integer::Factor;
using integer::FeatureQuantizer;

class PlainTail {
 public:
  explicit PlainTail(const Model& model) : model_(model) {
    for (const Output& output : model.outputs) {
      if (output.name == "latents") latents_ = output.value;
      if (output.name == "features") features_ = output.value;
    }
    const auto& ranges = *model.entry<std::vector<float>>("tail.ranges");
    const auto& latent = *model.entry<std::vector<uint32_t>>("tail.latent");
    const auto& largest = *model.entry<std::vector<float>>("tail.latent_max");
    const auto& estimators = *model.entry<std::vector<uint32_t>>("tail.estimators");
    size_t range = 0, conv = 0;
    const auto next_range = [&](uint32_t value) {
      quantizer_[value] = FeatureQuantizer::from_range(ranges[range], ranges[range + 1]);
      range += 2;
    };
    bool inside = false;
    for (const Node& node : model.nodes) {
      if (node.output == latents_) {
        cut_ = &node;
        inside = true;
        next_range(latents_);
        continue;
      }
      if (!inside || range == ranges.size()) continue;
      nodes_.push_back(&node);
      makers_[node.output] = &node;
      if (node.op == Op::binarize) continue;
      next_range(node.output);
      if (!trains(node)) continue;
      PlainLayer layer(model, node, [this](uint32_t value) { return step(value); });
      if (node.op == Op::conv_binary) {
        const Tensor& weights = model.tensors[latent[conv]];
        layer.w.assign(weights.bytes8(), weights.bytes8() + weights.bytes);
        layer.largest = static_cast<double>(largest[conv]);
        layer.estimator = estimators[conv++];
      }
      layers_.emplace(&node, std::move(layer));
    }
  }

  std::vector<const Node*> trained() const {
    std::vector<const Node*> nodes;
    for (const Node* node : nodes_)
      if (trains(*node)) nodes.push_back(node);
    return nodes;
  }
  const PlainLayer& layer(const Node* node) const { return layers_.at(node); }

  // Levels of the features, samples x d.
  Numbers64 forward(const std::vector<const uint32_t*>& bits) {
    count_ = static_cast<int64_t>(bits.size());
    const Value& shape = model_.values[latents_];
    const int64_t words = (shape.c + 31) / 32, pixels = int64_t{shape.h} * shape.w;
    Numbers64 levels;
    for (const uint32_t* sample : bits)
      for (int64_t pixel = 0; pixel < pixels; ++pixel)
        for (uint32_t c = 0; c < shape.c; ++c) {
          const float s = cut_->scale->floats()[c];
          const bool minus = sample[pixel * words + c / 32] >> (c % 32) & 1u;
          levels.push_back(quantizer_[latents_](minus ? -s : s));
        }
    values_[latents_] = levels;
    for (const Node* node : nodes_) run(*node);
    return values_[features_];
  }

  void backward(const Numbers64& f, double uf, double rate, integer::Random& random) {
    gradients_ = {};
    gradients_.contribute(features_, f, uf);
    for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) {
      if (trains(**node)) {
        train(**node, rate, random);
      } else if ((*node)->op != Op::binarize) {
        untrained(**node);
      }
    }
  }

 private:
  double step(uint32_t value) const { return static_cast<double>(quantizer_.at(value).step); }
  int64_t code(uint32_t value, int64_t v) const {
    const int64_t zero = quantizer_.at(value).zero;
    return std::max<int64_t>(0, std::min<int64_t>(255, v + zero)) - zero;
  }

  static double count_of(const Node& node) {
    return node.op == Op::average_pool ? static_cast<double>(node.kernel_h) * node.kernel_w : 1.0;
  }
  Numbers64 z_of(const Node& node) {
    const Numbers64* identity = node.residual == Node::none ? nullptr : &values_[node.residual];
    return layers_.at(&node).z(node, sums_[&node], identity);
  }

  void run(const Node& node) {
    const Value& out = model_.values[node.output];
    Numbers64& y = values_[node.output];
    const Numbers64& x = values_[node.input];
    y.assign(static_cast<size_t>(count_ * static_cast<int64_t>(out.elements())), 0);
    if (node.op == Op::binarize) {
      for (size_t i = 0; i < y.size(); ++i) {
        const double lower = static_cast<double>(node.interval->floats()[2 * (i % out.c)]);
        y[i] = static_cast<double>(x[i]) >= std::ceil(lower / step(node.input)) ? 1 : -1;
      }
      return;
    }
    if (!trains(node)) {
      const Factor ratio = Factor::from(step(node.input) / (count_of(node) * step(node.output)));
      windows(model_, node, count_, [&](int64_t to, const Numbers64& inputs) {
        int64_t sum = 0;
        if (node.op == Op::max_pool) {
          sum = at(x, first_largest(x, inputs));
        } else {
          for (const int64_t i : inputs) sum += at(x, i);
        }
        y[static_cast<size_t>(to)] = code(node.output, integer::multiply(sum, ratio, 0));
      });
      return;
    }
    const PlainLayer& layer = layers_.at(&node);
    Numbers64& s = sums_[&node];
    if (node.op == Op::pointwise) {
      s = x;
    } else {
      s.assign(y.size(), 0);
      taps(model_, node, count_, [&](int64_t to, int64_t from, int64_t weight) {
        s[static_cast<size_t>(to)] += layer.factor(node, weight) * at(x, from);
      });
    }
    const Numbers64 z = z_of(node);
    for (size_t i = 0; i < y.size(); ++i) {
      const size_t c = i % out.c;
      y[i] = code(node.output, integer::round_shift(layer.activated(node, z[i], c) + layer.p[c], 16));
    }
  }

  void untrained(const Node& node) {
    const PlainGradient* gradient = gradients_.of(node.output);
    if (!gradient) return;
    const Numbers64& x = values_[node.input];
    Numbers64 t(x.size());
    windows(model_, node, count_, [&](int64_t from, const Numbers64& inputs) {
      const int64_t g = at(gradient->g, from);
      if (node.op == Op::max_pool) {
        t[static_cast<size_t>(first_largest(x, inputs))] += g;
      } else {
        for (const int64_t i : inputs) t[static_cast<size_t>(i)] += g;
      }
    });
    gradients_.contribute(node.input, t, gradient->unit / count_of(node));
  }

  void train(const Node& node, double rate, integer::Random& random) {
    const uint32_t key_h = random.next(), key_w = random.next(), key_p = random.next();
    const PlainGradient* found = gradients_.of(node.output);
    if (!found) return;
    const PlainGradient gradient = *found;
    PlainLayer& layer = layers_.at(&node);
    const size_t channels = model_.values[node.output].c;
    const Numbers64 z = z_of(node), &s = sums_[&node];
    Numbers64 dm(channels), dn(channels), da(channels), dp(channels), before = gradient.g;
    for (size_t i = 0; i < z.size(); ++i) {
      const size_t c = i % channels;
      int64_t& g = before[i];
      dp[c] += g;
      const int64_t limit = layer.limit;
      if (node.activation == Activation::prelu && z[i] < 0) {
        da[c] += g * integer::round_shift(z[i], 16);
        g = clamp16(integer::round_shift(g * layer.a[c], 16));
      }
      if (node.activation == Activation::relu && z[i] < 0) g = 0;
      if (node.activation == Activation::hardtanh && std::abs(z[i]) > limit) g = 0;
      dn[c] += g;
      dm[c] += g * s[i];
    }
    if (node.residual != Node::none) gradients_.contribute(node.residual, before, gradient.unit);
    Numbers64 h = before;
    for (size_t i = 0; i < h.size(); ++i) h[i] *= layer.m[i % channels];
    const double so = step(node.output), unit = gradient.unit;
    if (node.op == Op::pointwise) {
      gradients_.contribute(node.input, h, unit * so / step(node.input) / 65536);
    } else if (most(h)) {
      convolution(node, h, unit * so / PlainLayer::one(node), rate, key_h, key_w);
    }
    const int64_t limit = int64_t{1} << 30;
    const auto o = static_cast<uint32_t>(channels);
    const double source = layer.source;
    const double terms = node.op == Op::conv_binary ? static_cast<double>(layer.w.size() / channels) : 1.0;
    if (node.scale)
      update(layer.m, dm, unit * source * source * PlainLayer::one(node) / so / terms, rate, key_p, 0, limit);
    if (node.bias) update(layer.n, dn, unit * 65536 / so, rate, key_p, o, limit);
    update(layer.a, da, unit * so * 65536, rate, key_p, 2 * o, limit);
    if (node.post) update(layer.p, dp, unit * 65536 / so, rate, key_p, 3 * o, limit);
  }

  void convolution(const Node& node, const Numbers64& h, double unit, double rate, uint32_t key_h, uint32_t key_w) {
    PlainLayer& layer = layers_.at(&node);
    const int k = length(most(h)) - 30;
    const auto shifted = [k](int64_t v) { return k >= 0 ? v >> k : v * (int64_t{1} << -k); };
    const int64_t inverse = (int64_t{127} << 39) / shifted(most(h));
    Numbers64 h8(h.size());
    for (size_t i = 0; i < h.size(); ++i) {
      const int64_t noise = integer::noise16(key_h, static_cast<uint32_t>(i));
      h8[i] = (shifted(h[i]) * inverse + (noise << 23)) >> 39;
    }
    const double unit_h = unit * std::pow(2.0, k) * (std::pow(2.0, 39) / static_cast<double>(inverse));
    const Numbers64& bits = values_[node.input];
    Numbers64 dw(layer.w.size()), dx(bits.size());
    taps(model_, node, count_, [&](int64_t to, int64_t from, int64_t weight) {
      dw[static_cast<size_t>(weight)] += at(h8, to) * at(bits, from);
      dx[static_cast<size_t>(from)] += at(h8, to) * layer.factor(node, weight);
    });
    if (node.op == Op::conv_float) {
      const double level = layer.level;
      gradients_.contribute(node.input, dx, unit_h / step(node.input));
      update(layer.w, dw, unit_h / level / (level / 256), rate, key_w, 0, 127 * 256);
      return;
    }
    const Node& binarize = *makers_[node.input];
    const size_t channels = model_.values[node.input].c;
    const auto e = static_cast<int64_t>(std::min(4194304.0, std::nearbyint(step(binarize.input) * 32768)));
    for (size_t i = 0; i < dx.size(); ++i) {
      const double lower = static_cast<double>(binarize.interval->floats()[2 * (i % channels)]);
      const auto theta =
          static_cast<int64_t>(std::max(-1073741824.0, std::min(1073741824.0, std::nearbyint(lower * 32768))));
      const int64_t distance = std::abs(values_[binarize.input][i] * e - theta);
      dx[i] *= layer.estimator == 2 ? std::max<int64_t>(0, 32768 - distance) : distance <= 32768 ? 16384 : 0;
    }
    gradients_.contribute(binarize.input, dx, unit_h / 16384);
    update(layer.w, dw, unit_h * 127 / layer.largest, rate, key_w, 0, 127);
  }

  const Model& model_;
  const Node* cut_ = nullptr;
  uint32_t latents_ = 0, features_ = 0;
  int64_t count_ = 0;
  std::vector<const Node*> nodes_;
  std::map<uint32_t, const Node*> makers_;
  std::map<uint32_t, FeatureQuantizer> quantizer_;
  std::map<const Node*, PlainLayer> layers_;
  std::map<uint32_t, Numbers64> values_;
  std::map<const Node*, Numbers64> sums_;
  PlainGradients gradients_;
};

inline void check_masters(const PlainTail& plain, const learner::Tail& tail, const learner::TailMasters& masters,
                          const char* isa) {
  size_t layer = 0;
  for (const Node* node : plain.trained()) {
    while (!tail.layers[layer].trained()) ++layer;
    const PlainLayer& expected = plain.layer(node);
    const int64_t first = tail.layers[layer].weights;
    const bool same = tail.layers[layer].op == Op::conv_float
                          ? std::equal(expected.w.begin(), expected.w.end(), masters.float_weights.begin() + first)
                          : std::equal(expected.w.begin(), expected.w.end(), masters.weights.begin() + first);
    CHECK(same, "%s: the weights of layer %zu", isa, layer);
    auto parameter = masters.parameters.begin() + tail.layers[layer].parameters;
    for (const Numbers64* list : {&expected.m, &expected.n, &expected.a, &expected.p}) {
      for (const int64_t number : *list) {
        CHECK(number == *parameter, "%s: a parameter of layer %zu is %d and should be %lld", isa, layer, *parameter,
              static_cast<long long>(number));
        ++parameter;
      }
    }
    ++layer;
  }
}

}  // namespace onebit::test
