// A layer of the tail that trains, from the file's node: its masters and the numbers that go with them, and the steps
// of the masters (docs/learner.md).
#pragma once

#include "format/model.h"
#include "integer/fixed.h"
#include "integer/random.h"
#include "plain_gradients.h"

namespace onebit::test {

inline bool trains(const Node& node) {
  return node.op == Op::conv_binary || node.op == Op::conv_float || node.op == Op::pointwise;
}
inline int64_t fixed(double v) {
  return static_cast<int64_t>(std::max(-1073741824.0, std::min(1073741824.0, std::nearbyint(v))));
}

struct PlainLayer {
  Numbers64 w, m, n, a, p;  // the masters
  double source = 1.0;      // what a unit of the sums is worth
  double level = 0.0;       // what a unit of a real weight is worth
  double largest = 0.0;     // what 127 is worth in a latent weight
  uint32_t estimator = 0;
  int64_t residual = 0, limit = 0;

  // `step_of` the levels of a value. A binary convolution's weights come from elsewhere in the file.
  template <class Step>
  PlainLayer(const Model& model, const Node& node, const Step& step_of) {
    const double so = step_of(node.output);
    const auto channel = [](const Tensor* t, uint32_t c, double absent) {
      return t ? static_cast<double>(t->floats()[c]) : absent;
    };
    if (node.op == Op::pointwise) source = step_of(node.input);
    if (node.op == Op::conv_float) {
      float most = 0;
      const float* weights = node.weight->floats();
      const size_t count = node.weight->bytes / 4;
      for (size_t i = 0; i < count; ++i) most = std::max(most, std::fabs(weights[i]));
      level = static_cast<double>(most) / 96;
      source = level * step_of(node.input);
      for (size_t i = 0; i < count; ++i) w.push_back(fixed(static_cast<double>(weights[i]) / level * 256));
    }
    for (uint32_t c = 0; c < model.values[node.output].c; ++c) {
      m.push_back(fixed(channel(node.scale, c, 1) * source / so * one(node)));
      n.push_back(fixed(channel(node.bias, c, 0) / so * 65536));
      a.push_back(fixed(channel(node.slope, c, 0) * 65536));
      p.push_back(fixed(channel(node.post, c, 0) / so * 65536));
    }
    if (node.residual != Node::none) residual = fixed(step_of(node.residual) / so * 65536);
    limit = fixed(65536 / so);
  }

  static double one(const Node& node) { return node.op == Op::conv_float ? 16777216.0 : 65536.0; }  // of M
  int64_t factor(const Node& node, int64_t weight) const {
    const int64_t master = at(w, weight);
    return node.op == Op::conv_float ? integer::round_shift(master, 8) : master < 0 ? -1 : 1;
  }

  // z from the sums; `identity`: the residual's levels, null without one.
  Numbers64 z(const Node& node, const Numbers64& sums, const Numbers64* identity) const {
    Numbers64 z = sums;
    for (size_t i = 0; i < z.size(); ++i) {
      const size_t c = i % m.size();
      z[i] *= m[c];
      if (node.op == Op::conv_float) z[i] = integer::round_shift(z[i], 8);
      z[i] += n[c];
      if (identity) z[i] += residual * (*identity)[i];
      z[i] = std::max<int64_t>(-2147483647, std::min<int64_t>(2147483647, z[i]));
    }
    return z;
  }
  int64_t activated(const Node& node, int64_t z, size_t c) const {
    switch (node.activation) {
      case Activation::none: break;
      case Activation::relu: return std::max<int64_t>(z, 0);
      case Activation::hardtanh: return std::max(-limit, std::min(limit, z));
      case Activation::prelu: return z < 0 ? integer::round_shift(z * a[c], 16) : z;
    }
    return z;
  }
};

// A step of `masters` against the gradient `sums` x `scale`; the noise begins at number `first` of `key`.
inline void update(Numbers64& masters, const Numbers64& sums, double scale, double rate, uint32_t key, uint32_t first,
                   int64_t limit) {
  if (most(sums) == 0) return;
  const int k = std::max(0, length(most(sums)) - 31);
  const integer::Factor factor = integer::Factor::from(rate * scale * std::pow(2.0, k));
  for (size_t i = 0; i < sums.size(); ++i) {
    if (sums[i] == 0) continue;
    const int64_t noise = integer::noise16(key, first + static_cast<uint32_t>(i));
    const int64_t step = (integer::multiply(sums[i] >> k, factor, 16) + noise) >> 16;
    masters[i] = std::max(-limit, std::min(limit, masters[i] - step));
  }
}

}  // namespace onebit::test
