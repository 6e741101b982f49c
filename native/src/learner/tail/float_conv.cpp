// A float convolution, in 8-bit levels: of the input, and of weights whose masters have 16 bits.
//
//   forward:   v = round(w 2^-8);  s = conv(q, v), where padding contributes nothing;  M s is round(M s 2^-8)
//   backward:  h = G' M in 8 bits;  dw = sum of h q;  dx = sum of h v
//   update:    w <- clamp(w - floor(rate dw 2^8 / level^2 + u), +-127 2^8)
#include <algorithm>
#include <cmath>

#include "gradient/products.h"
#include "kernels/shape.h"
#include "learner/tail/trained_layer.h"

namespace onebit::learner {
namespace {

class FloatConv final : public TrainedLayer {
 public:
  FloatConv(Workspace& work, size_t index) : TrainedLayer(work, index, 1) {
    const ConvShape shape = shape_of(work.batch);
    if (work.training) work.check_batch(Products::unfit(shape));
    if (work.training) work.check_batch(ByteProducts::unfit(shape));
    wide_sums_.at_least(work.batch * out_.elements());
    levels_.at_least(spec_.weight_count());
    work.byte_products.reserve(shape, static_cast<size_t>(work.threads));
    if (!work.training) return;
    work.byte_products.reserve_gradients(shape);
    if (spec_.input > 0) work.sums.at_least(work.batch * in_.elements());
  }

  void load(const TailMasters& masters) override {
    TrainedLayer::load(masters);
    load_levels(masters.float_weights.data() + spec_.weights);
  }

 private:
  void sum(int64_t begin, int64_t end, size_t thread) override {
    work_.byte_products.forward(spec_.shape, input_codes(0), in_.quantizer.zero, levels_.data(), begin, end,
                                wide_sums_.data(), thread);
  }

  void through_sums(int64_t max, const Keys& keys, double rate, TailMasters& masters) override {
    ByteProducts& products = work_.byte_products;
    const double unit = eight_bits(max, keys.levels, products.h(), out_.c);
    if (unit == 0) return;
    if (spec_.input > 0) {
      products.inputs(shape_of(work_.samples), levels_.data(), work_.sums.data(), work_.pool);
      work_.gradients.add(spec_.input, unit / in_.step(), work_.sums.data());
    }
    update_weights(unit, rate, keys.weights, masters.float_weights.data() + spec_.weights);
  }

  void update_weights(double unit, double rate, uint32_t key, int16_t* weights) {
    const int64_t inputs = spec_.shape.in_c, taps = taps_of(spec_.shape);
    const Factor factor = factor_of(rate * (unit / spec_.level / std::ldexp(spec_.level, -kFloatWeightFraction)));
    if (factor.mantissa == 0 || factor.shift - 16 > 62) return;  // every step would be 0
    const auto use = [&](int64_t output, int64_t tap, const int32_t* sums) {
      const int64_t first = (output * taps + tap) * inputs;
      for (int64_t c = 0; c < inputs; ++c) {
        const uint32_t noise = noise16(key, static_cast<uint32_t>(first + c));
        const int64_t step = (multiply(sums[c], factor, 16) + noise) >> 16;
        int16_t& weight = weights[first + c];
        weight = static_cast<int16_t>(clamp<-kMaxFloatWeight, kMaxFloatWeight>(weight - step));
      }
    };
    work_.byte_products.weights(shape_of(work_.samples), input_codes(0), in_.quantizer.zero, work_.pool, use);
    load_levels(weights);
  }

  void load_levels(const int16_t* weights) {
    for (int64_t i = 0; i < spec_.weight_count(); ++i)
      levels_.data()[i] = static_cast<int16_t>(round_shift(weights[i], kFloatWeightFraction));
  }

  Scratch<int16_t> levels_;  // v
};

}  // namespace

std::unique_ptr<Layer> make_float_conv(Workspace& work, size_t index) {
  return std::make_unique<FloatConv>(work, index);
}

}  // namespace onebit::learner
