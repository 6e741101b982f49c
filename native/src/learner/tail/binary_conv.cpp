// What a gradient of the tail does to the masters (docs/learner.md).
#include <algorithm>
#include <cmath>

#include "kernels/shape.h"
#include "learner/tail/arithmetic.h"
#include "learner/tail/network.h"

namespace onebit::learner {
void TailNetwork::update_weights(size_t layer, double unit, double rate, uint32_t key, TailMasters& masters) {
  const TailLayer& from = tail_.layers[layer];
  const int64_t size = taps_of(from.shape) * from.shape.in_c;
  const Factor factor = factor_of(rate * (unit * 127 / from.largest));
  const int shift = factor.shift - 16;
  if (factor.mantissa == 0 || shift > 62) return;  // every step would be 0
  ConvShape shape = from.shape;
  shape.batch = static_cast<int32_t>(count_);
  int8_t* weights = masters.weights.data() + from.weights;
  const uint32_t* bits = layers_[layer].bits.data();
  products_.weights(shape, *layers_[layer].pairs, bits, pool_, [&](int64_t output, const int32_t* sums) {
    int8_t* to = weights + output * size;
    const auto index = static_cast<uint32_t>(output * size);
    if (shift >= 0) return passes_.update({size, sums, factor.mantissa, shift, key, index, to});
    for (int64_t i = 0; i < size; ++i) {
      const int64_t step = multiply(sums[i], factor, 16) + noise16(key, index + static_cast<uint32_t>(i));
      to[i] = static_cast<int8_t>(clamp<-127, 127>(to[i] - (step >> 16)));
    }
  });
  load_weights(layer, masters);
}

void TailNetwork::update_parameters(size_t layer, double rate, uint32_t key, TailMasters& masters) {
  const int64_t channels = tail_.values[layer + 1].c;
  const double unit = gradients_[layer + 1].unit, step = tail_.values[layer + 1].step();
  const TailLayer& from = tail_.layers[layer];
  // What scales n random signs, whose variance is n, is trained as M sqrt(n).
  const auto terms = from.op == Op::conv_binary ? static_cast<double>(taps_of(from.shape) * from.shape.in_c) : 1.0;
  int32_t* parameters = masters.parameters.data() + from.parameters;
  for (int j = 0; j < kParameters; ++j, parameters += channels) {
    if (!from.present[static_cast<size_t>(j)]) continue;
    const int64_t* sums = totals_.data() + j * channels;
    int64_t most = 0;
    for (int64_t c = 0; c < channels; ++c) most = std::max(most, std::abs(sums[c]));
    if (most == 0) continue;
    const int shift = std::max(0, bit_length(most) - 31);
    const double scale = j == kA   ? unit * step * 65536
                         : j == kM ? std::ldexp(unit * from.source * from.source / step, from.fraction()) / terms
                                   : unit * 65536 / step;
    const Factor factor = factor_of(std::ldexp(rate * scale, shift));
    for (int64_t c = 0; c < channels; ++c) {
      const uint32_t noise = noise16(key, static_cast<uint32_t>(j * channels + c));
      const int64_t update = (multiply(sums[c] >> shift, factor, 16) + noise) >> 16;
      parameters[c] = static_cast<int32_t>(clamp<-kMaxMaster, kMaxMaster>(parameters[c] - update));
    }
  }
}

}  // namespace onebit::learner
