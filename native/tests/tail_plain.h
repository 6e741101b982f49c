// The arithmetic of the tail (docs/learner.md) once more, plainly: from the file's nodes, one number at a time.
#pragma once

#include <cmath>
#include <functional>
#include <map>

#include "format/model.h"
#include "kernels_support.h"
#include "learner/fixed.h"
#include "learner/quantizer.h"
#include "learner/random.h"
#include "learner/tail.h"

namespace onebit::test {

using learner::Factor;
using learner::FeatureQuantizer;
using Numbers64 = std::vector<int64_t>;

class PlainTail {
 public:
  struct Masters {
    Numbers64 w, m, n, a, p;
  };

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
      const double so = step(node.output);
      Masters& masters = masters_[&node];
      const auto fixed = [](double v) {
        return static_cast<int64_t>(std::max(-1073741824.0, std::min(1073741824.0, std::nearbyint(v))));
      };
      const auto channel = [](const Tensor* t, uint32_t c, double absent) {
        return t ? static_cast<double>(t->floats()[c]) : absent;
      };
      source_[&node] = node.op == Op::pointwise ? step(node.input) : 1.0;
      if (node.op == Op::conv_float) {
        float most = 0;
        const float* weights = node.weight->floats();
        const size_t count = node.weight->bytes / 4;
        for (size_t i = 0; i < count; ++i) most = std::max(most, std::fabs(weights[i]));
        level_[&node] = static_cast<double>(most) / 96;
        source_[&node] = level_[&node] * step(node.input);
        for (size_t i = 0; i < count; ++i)
          masters.w.push_back(fixed(static_cast<double>(weights[i]) / level_[&node] * 256));
      }
      for (uint32_t c = 0; c < model.values[node.output].c; ++c) {
        const double scale = channel(node.scale, c, 1);
        masters.m.push_back(fixed(scale * source_[&node] / so * one(node)));
        masters.n.push_back(fixed(channel(node.bias, c, 0) / so * 65536));
        masters.a.push_back(fixed(channel(node.slope, c, 0) * 65536));
        masters.p.push_back(fixed(channel(node.post, c, 0) / so * 65536));
      }
      residual_[&node] = node.residual == Node::none ? 0 : fixed(step(node.residual) / so * 65536);
      limit_[&node] = fixed(65536 / so);
      if (node.op != Op::conv_binary) continue;
      const Tensor& weights = model.tensors[latent[conv]];
      masters.w.assign(weights.bytes8(), weights.bytes8() + weights.bytes);
      largest_[&node] = static_cast<double>(largest[conv]);
      estimator_[&node] = estimators[conv++];
    }
  }

  std::vector<const Node*> trained() const {
    std::vector<const Node*> nodes;
    for (const Node* node : nodes_)
      if (trains(*node)) nodes.push_back(node);
    return nodes;
  }
  const Masters& masters(const Node* node) const { return masters_.at(node); }

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

  void backward(const Numbers64& f, double uf, double rate, learner::Random& random) {
    gradients_.clear();
    contribute(features_, f, uf);
    for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) {
      if (trains(**node)) {
        train(**node, rate, random);
      } else if ((*node)->op != Op::binarize) {
        untrained(**node);
      }
    }
  }

 private:
  struct Gradient {
    Numbers64 g;
    double unit;
  };

  static bool trains(const Node& node) {
    return node.op == Op::conv_binary || node.op == Op::conv_float || node.op == Op::pointwise;
  }
  static double one(const Node& node) { return node.op == Op::conv_float ? 16777216.0 : 65536.0; }  // of M
  int64_t factor_of_weight(const Node& node, int64_t w) const {
    return node.op == Op::conv_float ? learner::round_shift(w, 8) : w < 0 ? -1 : 1;
  }

  double step(uint32_t value) const { return static_cast<double>(quantizer_.at(value).step); }
  int64_t code(uint32_t value, int64_t v) const {
    const int64_t zero = quantizer_.at(value).zero;
    return std::max<int64_t>(0, std::min<int64_t>(255, v + zero)) - zero;
  }

  // Every product of a convolution: its place in the output, the input and the weights.
  void taps(const Node& node, const std::function<void(int64_t, int64_t, int64_t)>& visit) const {
    const Value &in = model_.values[node.input], &out = model_.values[node.output];
    for (int64_t n = 0; n < count_; ++n)
      for (int64_t y = 0; y < out.h; ++y)
        for (int64_t x = 0; x < out.w; ++x)
          for (int64_t ky = 0; ky < node.kernel_h; ++ky)
            for (int64_t kx = 0; kx < node.kernel_w; ++kx) {
              const int64_t iy = y * node.stride_h - node.pad_top + ky, ix = x * node.stride_w - node.pad_left + kx;
              if (iy < 0 || iy >= in.h || ix < 0 || ix >= in.w) continue;
              for (int64_t o = 0; o < out.c; ++o)
                for (int64_t i = 0; i < in.c; ++i)
                  visit(((n * out.h + y) * out.w + x) * out.c + o, ((n * in.h + iy) * in.w + ix) * in.c + i,
                        ((o * node.kernel_h + ky) * node.kernel_w + kx) * in.c + i);
            }
  }

  // Calls visit(output, inputs) with the inputs of each element of the output of what trains nothing.
  void windows(const Node& node, const std::function<void(int64_t, const Numbers64&)>& visit) const {
    const Value &in = model_.values[node.input], &out = model_.values[node.output];
    int64_t to = 0;
    for (int64_t n = 0; n < count_; ++n)
      for (int64_t y = 0; y < out.h; ++y)
        for (int64_t x = 0; x < out.w; ++x)
          for (int64_t c = 0; c < out.c; ++c, ++to) {
            Numbers64 inputs;
            const bool pads = node.op == Op::pad_channels;
            const int64_t channel = c - node.channels_before;
            for (int64_t ky = 0; ky < node.kernel_h; ++ky)
              for (int64_t kx = 0; kx < node.kernel_w; ++kx) {
                const int64_t iy = y * node.stride_h - node.pad_top + ky, ix = x * node.stride_w - node.pad_left + kx;
                if (iy < 0 || iy >= in.h || ix < 0 || ix >= in.w || channel < 0 || channel >= in.c) continue;
                inputs.push_back(((n * in.h + iy) * in.w + ix) * in.c + (pads ? channel : c));
              }
            visit(to, inputs);
          }
  }
  static double count_of(const Node& node) {
    return node.op == Op::average_pool ? static_cast<double>(node.kernel_h) * node.kernel_w : 1.0;
  }
  // Of which input a maximum pool takes its output.
  static int64_t first_largest(const Numbers64& x, const Numbers64& inputs) {
    return *std::max_element(inputs.begin(), inputs.end(), [&](int64_t a, int64_t b) { return at(x, a) < at(x, b); });
  }

  static int64_t at(const Numbers64& v, int64_t i) { return v[static_cast<size_t>(i)]; }

  Numbers64 z_of(const Node& node) {
    const Masters& masters = masters_[&node];
    const int64_t channels = model_.values[node.output].c;
    Numbers64 z = sums_[&node];
    for (size_t i = 0; i < z.size(); ++i) {
      const auto c = static_cast<int64_t>(i) % channels;
      z[i] *= at(masters.m, c);
      if (node.op == Op::conv_float) z[i] = learner::round_shift(z[i], 8);
      z[i] += at(masters.n, c);
      if (node.residual != Node::none) z[i] += residual_[&node] * values_[node.residual][i];
      z[i] = std::max<int64_t>(-2147483647, std::min<int64_t>(2147483647, z[i]));
    }
    return z;
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
      windows(node, [&](int64_t to, const Numbers64& inputs) {
        int64_t sum = 0;
        if (node.op == Op::max_pool) {
          sum = at(x, first_largest(x, inputs));
        } else {
          for (const int64_t i : inputs) sum += at(x, i);
        }
        y[static_cast<size_t>(to)] = code(node.output, learner::multiply(sum, ratio, 0));
      });
      return;
    }
    Numbers64& s = sums_[&node];
    if (node.op == Op::pointwise) {
      s = x;
    } else {
      const Masters& masters = masters_[&node];
      s.assign(y.size(), 0);
      taps(node, [&](int64_t to, int64_t from, int64_t weight) {
        s[static_cast<size_t>(to)] += factor_of_weight(node, at(masters.w, weight)) * at(x, from);
      });
    }
    const Numbers64 z = z_of(node);
    for (size_t i = 0; i < y.size(); ++i) {
      const size_t c = i % out.c;
      int64_t v = z[i];
      const int64_t limit = limit_[&node];
      switch (node.activation) {
        case Activation::none: break;
        case Activation::relu: v = std::max<int64_t>(v, 0); break;
        case Activation::hardtanh: v = std::max(-limit, std::min(limit, v)); break;
        case Activation::prelu: v = v < 0 ? learner::round_shift(v * masters_[&node].a[c], 16) : v; break;
      }
      y[i] = code(node.output, learner::round_shift(v + masters_[&node].p[c], 16));
    }
  }

  static int length(int64_t v) {
    int bits = 0;
    while (v >> bits) ++bits;
    return bits;
  }
  static int64_t most(const Numbers64& v) {
    int64_t m = 0;
    for (const int64_t x : v) m = std::max(m, x < 0 ? -x : x);
    return m;
  }
  static int64_t clamp16(int64_t v) { return std::max<int64_t>(-32767, std::min<int64_t>(32767, v)); }

  static Gradient normalise(Numbers64 t, double unit) {
    const int k = std::max(0, length(most(t)) - 15);
    for (int64_t& v : t) v = clamp16(learner::round_shift(v, k));
    return {std::move(t), unit * std::pow(2.0, k)};
  }

  void contribute(uint32_t value, const Numbers64& t, double unit) {
    if (value == latents_ || most(t) == 0) return;
    const Gradient next = normalise(t, unit);
    const auto found = gradients_.find(value);
    if (found == gradients_.end()) {
      gradients_[value] = next;
      return;
    }
    const bool first = found->second.unit >= next.unit;
    const Gradient &large = first ? found->second : next, &small = first ? next : found->second;
    const auto rho = static_cast<int64_t>(std::floor(small.unit / large.unit * 65536));
    Numbers64 sum(t.size());
    for (size_t i = 0; i < sum.size(); ++i) sum[i] = large.g[i] * 65536 + small.g[i] * rho;
    const Gradient both = normalise(sum, large.unit / 65536);
    gradients_.erase(value);
    if (most(both.g)) gradients_[value] = both;
  }

  void untrained(const Node& node) {
    const auto found = gradients_.find(node.output);
    if (found == gradients_.end()) return;
    const Numbers64& x = values_[node.input];
    Numbers64 t(x.size());
    windows(node, [&](int64_t from, const Numbers64& inputs) {
      const int64_t g = at(found->second.g, from);
      if (node.op == Op::max_pool) {
        t[static_cast<size_t>(first_largest(x, inputs))] += g;
      } else {
        for (const int64_t i : inputs) t[static_cast<size_t>(i)] += g;
      }
    });
    contribute(node.input, t, found->second.unit / count_of(node));
  }

  void update(Numbers64& masters, const Numbers64& sums, double scale, double rate, uint32_t key, uint32_t first,
              int64_t limit) {
    if (most(sums) == 0) return;
    const int k = std::max(0, length(most(sums)) - 31);
    const Factor factor = Factor::from(rate * scale * std::pow(2.0, k));
    for (size_t i = 0; i < sums.size(); ++i) {
      if (sums[i] == 0) continue;
      const int64_t noise = learner::noise16(key, first + static_cast<uint32_t>(i));
      const int64_t step = (learner::multiply(sums[i] >> k, factor, 16) + noise) >> 16;
      masters[i] = std::max(-limit, std::min(limit, masters[i] - step));
    }
  }

  void train(const Node& node, double rate, learner::Random& random) {
    const uint32_t key_h = random.next(), key_w = random.next(), key_p = random.next();
    const auto found = gradients_.find(node.output);
    if (found == gradients_.end()) return;
    const Gradient gradient = found->second;
    Masters& masters = masters_[&node];
    const size_t channels = model_.values[node.output].c;
    const Numbers64 z = z_of(node), &s = sums_[&node];
    Numbers64 dm(channels), dn(channels), da(channels), dp(channels), before = gradient.g;
    for (size_t i = 0; i < z.size(); ++i) {
      const size_t c = i % channels;
      int64_t& g = before[i];
      dp[c] += g;
      const int64_t limit = limit_[&node];
      if (node.activation == Activation::prelu && z[i] < 0) {
        da[c] += g * learner::round_shift(z[i], 16);
        g = clamp16(learner::round_shift(g * masters.a[c], 16));
      }
      if (node.activation == Activation::relu && z[i] < 0) g = 0;
      if (node.activation == Activation::hardtanh && std::abs(z[i]) > limit) g = 0;
      dn[c] += g;
      dm[c] += g * s[i];
    }
    if (node.residual != Node::none) contribute(node.residual, before, gradient.unit);
    Numbers64 h = before;
    for (size_t i = 0; i < h.size(); ++i) h[i] *= masters.m[i % channels];
    const double so = step(node.output), unit = gradient.unit;
    if (node.op == Op::pointwise) {
      contribute(node.input, h, unit * so / step(node.input) / 65536);
    } else if (most(h)) {
      convolution(node, h, unit * so / one(node), rate, key_h, key_w);
    }
    const int64_t limit = int64_t{1} << 30;
    const auto o = static_cast<uint32_t>(channels);
    const double source = source_[&node];
    const double terms = node.op == Op::conv_binary ? static_cast<double>(masters.w.size() / channels) : 1.0;
    if (node.scale) update(masters.m, dm, unit * source * source * one(node) / so / terms, rate, key_p, 0, limit);
    if (node.bias) update(masters.n, dn, unit * 65536 / so, rate, key_p, o, limit);
    update(masters.a, da, unit * so * 65536, rate, key_p, 2 * o, limit);
    if (node.post) update(masters.p, dp, unit * 65536 / so, rate, key_p, 3 * o, limit);
  }

  void convolution(const Node& node, const Numbers64& h, double unit, double rate, uint32_t key_h, uint32_t key_w) {
    Masters& masters = masters_[&node];
    const int k = length(most(h)) - 30;
    const auto shifted = [k](int64_t v) { return k >= 0 ? v >> k : v * (int64_t{1} << -k); };
    const int64_t inverse = (int64_t{127} << 39) / shifted(most(h));
    Numbers64 h8(h.size());
    for (size_t i = 0; i < h.size(); ++i) {
      const int64_t noise = learner::noise16(key_h, static_cast<uint32_t>(i));
      h8[i] = (shifted(h[i]) * inverse + (noise << 23)) >> 39;
    }
    const double unit_h = unit * std::pow(2.0, k) * (std::pow(2.0, 39) / static_cast<double>(inverse));
    const Numbers64& bits = values_[node.input];
    Numbers64 dw(masters.w.size()), dx(bits.size());
    taps(node, [&](int64_t to, int64_t from, int64_t weight) {
      dw[static_cast<size_t>(weight)] += at(h8, to) * at(bits, from);
      dx[static_cast<size_t>(from)] += at(h8, to) * factor_of_weight(node, at(masters.w, weight));
    });
    if (node.op == Op::conv_float) {
      const double level = level_[&node];
      contribute(node.input, dx, unit_h / step(node.input));
      update(masters.w, dw, unit_h / level / (level / 256), rate, key_w, 0, 127 * 256);
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
      dx[i] *= estimator_[&node] == 2 ? std::max<int64_t>(0, 32768 - distance) : distance <= 32768 ? 16384 : 0;
    }
    contribute(binarize.input, dx, unit_h / 16384);
    update(masters.w, dw, unit_h * 127 / largest_[&node], rate, key_w, 0, 127);
  }

  const Model& model_;
  const Node* cut_ = nullptr;
  uint32_t latents_ = 0, features_ = 0;
  int64_t count_ = 0;
  std::vector<const Node*> nodes_;
  std::map<uint32_t, const Node*> makers_;
  std::map<uint32_t, FeatureQuantizer> quantizer_;
  std::map<const Node*, Masters> masters_;
  std::map<const Node*, int64_t> residual_, limit_;
  std::map<const Node*, double> largest_, source_, level_;
  std::map<const Node*, uint32_t> estimator_;
  std::map<uint32_t, Numbers64> values_;
  std::map<const Node*, Numbers64> sums_;
  std::map<uint32_t, Gradient> gradients_;
};

inline void check_masters(const PlainTail& plain, const learner::Tail& tail, const learner::TailMasters& masters,
                          const char* isa) {
  size_t layer = 0;
  for (const Node* node : plain.trained()) {
    while (!tail.layers[layer].trained()) ++layer;
    const PlainTail::Masters& expected = plain.masters(node);
    const int64_t first = tail.layers[layer].weights;
    const bool same = tail.layers[layer].op == Op::conv_float
                          ? std::equal(expected.w.begin(), expected.w.end(), masters.reals.begin() + first)
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
