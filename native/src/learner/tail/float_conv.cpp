// Real-valued convolutions of the tail at work (docs/learner.md).
#include <algorithm>
#include <cmath>

#include "kernels/shape.h"
#include "learner/tail/network.h"

namespace onebit::learner {

void TailNetwork::reserve_real(const TailLayer& layer) {
  ConvShape shape = layer.shape;
  shape.batch = static_cast<int32_t>(batch_);
  real_.reserve_gradients(shape);
  if (layer.input > 0) real_sums_.at_least(batch_ * tail_.values[layer.input].elements());
}

void TailNetwork::load_levels(size_t layer, const TailMasters& masters) {
  const TailLayer& from = tail_.layers[layer];
  const int16_t* reals = masters.reals.data() + from.weights;
  for (int64_t i = 0; i < from.weight_count(); ++i)
    layers_[layer].levels.data()[i] = static_cast<int16_t>(round_shift(reals[i], kRealParts));
}

void TailNetwork::through_real(size_t layer, int64_t most, const Keys& keys, double rate, TailMasters& masters) {
  const TailLayer& from = tail_.layers[layer];
  const TailValue &in = tail_.values[from.input], &out = tail_.values[layer + 1];
  const EightBits eight(most);
  const double unit = std::ldexp(gradients_[layer + 1].unit * out.step(), -from.fraction()) * eight.worth;
  if (!usable(unit)) return;
  const int32_t* m = masters.parameters.data() + from.parameters;
  pool_.split(count_ * out.pixels(), [&](int64_t begin, int64_t end, size_t) {
    passes_.levels({end - begin, out.c, values_of(layer + 1) + begin * out.c, m, eight.shift, eight.inverse,
                    keys.levels, static_cast<uint32_t>(begin * out.c), real_.h() + begin * out.c});
  });
  if (from.input > 0) {
    ConvShape shape = from.shape;
    shape.batch = static_cast<int32_t>(count_);
    real_.inputs(shape, layers_[layer].levels.data(), real_sums_.data(), pool_);
    const int64_t size = count_ * in.elements();
    const int64_t largest_sum =
        largest(size, [&](int64_t begin, int64_t end) { return most_of(real_sums_.data() + begin, end - begin); });
    if (largest_sum > 0) {
      const int shift = to_16_bits(largest_sum);
      narrow(real_sums_.data(), size, shift, other_.data());
      accept(from.input, std::ldexp(unit / in.step(), shift));
    }
  }
  update_reals(layer, unit, rate, keys.weights, masters);
}

void TailNetwork::update_reals(size_t layer, double unit, double rate, uint32_t key, TailMasters& masters) {
  const TailLayer& from = tail_.layers[layer];
  const int64_t inputs = from.shape.in_c, taps = taps_of(from.shape);
  const Factor factor = factor_of(rate * (unit / from.level / std::ldexp(from.level, -kRealParts)));
  if (factor.mantissa == 0 || factor.shift - 16 > 62) return;  // every step would be 0
  ConvShape shape = from.shape;
  shape.batch = static_cast<int32_t>(count_);
  const TailValue& in = tail_.values[from.input];
  int16_t* reals = masters.reals.data() + from.weights;
  real_.weights(shape, codes_[from.input].data(), in.quantizer.zero, pool_,
                [&](int64_t output, int64_t tap, const int32_t* sums) {
                  const int64_t first = (output * taps + tap) * inputs;
                  for (int64_t c = 0; c < inputs; ++c) {
                    const uint32_t noise = noise16(key, static_cast<uint32_t>(first + c));
                    const int64_t step = (multiply(sums[c], factor, 16) + noise) >> 16;
                    reals[first + c] = static_cast<int16_t>(clamp<-kMaxReal, kMaxReal>(reals[first + c] - step));
                  }
                });
  load_levels(layer, masters);
}

}  // namespace onebit::learner
