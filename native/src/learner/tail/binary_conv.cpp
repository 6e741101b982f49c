// A binary convolution and the binarize that feeds it: bits of the input by signs of latent weights.
//
//   forward:   bit = +1 where q >= threshold;  s = conv(bit, sign w), where padding contributes nothing
//   backward:  h = G' M in 8 bits;  dw = sum of h bit;  dx = sum of h sign(w), times the derivative of the sign's
//              estimator at q step - threshold
//   update:    w <- clamp(w - floor(rate dw 127 / largest + u), +-127)
#include <algorithm>
#include <cmath>

#include "gradient/products.h"
#include "kernels/autotune.h"
#include "kernels/shape.h"
#include "learner/tail/trained_layer.h"

namespace onebit::learner {
namespace {

constexpr int64_t kFloatsInCache = 64 * 1024;

class BinaryConv final : public TrainedLayer {
 public:
  BinaryConv(Workspace& work, size_t index)
      : TrainedLayer(work, index,
                     static_cast<double>(taps_of(work.tail.layers[index].shape) * work.tail.layers[index].shape.in_c)),
        kernel_(work.kernels.binary_conv[choose_kernel(work.kernels.binary_conv, spec_.shape)]) {
    const ConvShape shape = shape_of(work.batch);
    if (work.training) work.check_batch(Products::unfit(shape));
    sums_.at_least(work.batch * out_.elements());
    packed_.at_least(static_cast<int64_t>(kernel_.pack_bytes(spec_.shape)));
    const int64_t bits = work.batch * in_.pixels() * words_of(in_.c);
    const int64_t words = int64_t{out_.c} * taps_of(shape) * words_of(in_.c);
    std::fill_n(bits_.at_least(bits), bits, 0u);
    std::fill_n(weights_.at_least(words), words, 0u);
    work.floats_per_thread = std::max({work.floats_per_thread, kFloatsInCache, out_.elements()});
    work.floats.at_least(work.threads * work.floats_per_thread);
    if (!work.training) return;
    pairs_ = std::make_unique<const ConvPairs>(shape);
    work.sign_products.reserve(shape, work.threads);
    if (spec_.input > 0) work.sums.at_least(work.batch * in_.elements());
  }

  void load(const TailMasters& masters) override {
    TrainedLayer::load(masters);
    load_weights(masters.weights.data() + spec_.weights);
  }

 private:
  void sum(int64_t begin, int64_t end, size_t thread) override {
    float* floats = work_.floats.data() + static_cast<int64_t>(thread) * work_.floats_per_thread;
    const int64_t step = work_.floats_per_thread / out_.elements();
    for (int64_t i = begin; i < end; i += step) convolve(i, std::min(end, i + step), floats);
  }

  void convolve(int64_t begin, int64_t end, float* floats) {
    uint32_t* bits = bits_.data() + begin * in_.pixels() * words_of(in_.c);
    work_.tail_kernels.binarize(input_codes(begin), (end - begin) * in_.pixels(), in_.c, spec_.thresholds.data(), bits);
    const ConvShape shape = shape_of(end - begin);
    const Epilogue none = {nullptr, nullptr, nullptr, nullptr, nullptr, Activation::none};
    kernel_.run({shape, 0, bits, packed_.data(), none, nullptr, floats, nullptr}, 0, kernel_.units(shape));
    work_.tail_kernels.integers(floats, (end - begin) * out_.elements(), sums_.data() + begin * out_.elements());
  }

  void through_sums(int64_t max, const Keys& keys, double rate, TailMasters& masters) override {
    const ConvShape shape = shape_of(work_.samples);
    SignProducts& products = work_.sign_products;
    const double unit = eight_bits(max, keys.levels, products.start(shape), products.h_step(shape));
    if (unit == 0) return;
    if (spec_.input > 0) {
      products.inputs(shape, *pairs_, weights_.data(), work_.sums.data(), work_.pool);
      through_sign(unit);
    }
    update_weights(unit, rate, keys.weights, masters.weights.data() + spec_.weights);
  }

  void through_sign(double unit) {
    const auto part = [&](int64_t begin, int64_t end) {
      return TailEstimateArgs{end - begin,
                              in_.c,
                              work_.sums.data() + begin * in_.c,
                              input_codes(0) + begin * in_.c,
                              in_.quantizer.zero,
                              spec_.step,
                              spec_.centres.data(),
                              spec_.estimator == Estimator::quadratic};
    };
    work_.gradients.add(
        spec_.input, unit, 14, work_.samples * in_.pixels(),
        [&](int64_t begin, int64_t end, size_t) { return work_.tail_kernels.max_of_estimate(part(begin, end)); },
        [&](int64_t begin, int64_t end, size_t, int shift, int16_t* to) {
          work_.tail_kernels.estimate(part(begin, end), shift, to + begin * in_.c);
        });
  }

  void update_weights(double unit, double rate, uint32_t key, int8_t* weights) {
    const int64_t size = taps_of(spec_.shape) * spec_.shape.in_c;
    const Factor factor = factor_of(rate * (unit * 127 / spec_.largest));
    const int shift = factor.shift - 16;
    if (factor.mantissa == 0 || shift > 62) return;  // every step would be 0
    const auto use = [&](int64_t output, const int32_t* sums) {
      int8_t* to = weights + output * size;
      const auto index = static_cast<uint32_t>(output * size);
      if (shift >= 0) return work_.tail_kernels.update({size, sums, factor.mantissa, shift, key, index, to});
      for (int64_t i = 0; i < size; ++i) {
        const int64_t step = multiply(sums[i], factor, 16) + noise16(key, index + static_cast<uint32_t>(i));
        to[i] = static_cast<int8_t>(clamp<-127, 127>(to[i] - (step >> 16)));
      }
    };
    work_.sign_products.weights(shape_of(work_.samples), *pairs_, bits_.data(), work_.pool, use);
    load_weights(weights);
  }

  void load_weights(const int8_t* weights) {
    const int64_t rows = spec_.shape.out_c * taps_of(spec_.shape), channels = spec_.shape.in_c;
    work_.pool.split(rows, [&](int64_t begin, int64_t end, size_t) {
      work_.tail_kernels.signs(weights + begin * channels, end - begin, channels,
                               weights_.data() + begin * words_of(channels));
    });
    kernel_.pack(spec_.shape, weights_.data(), packed_.data());
  }

  const BinaryConvKernel& kernel_;
  Scratch<uint32_t> bits_, weights_;  // signs, of the input and of the weights
  Scratch<uint8_t> packed_;           // the weights as the kernel reads them
  std::unique_ptr<const ConvPairs> pairs_;
};

}  // namespace

std::unique_ptr<Layer> make_binary_conv(Workspace& work, size_t index) {
  return std::make_unique<BinaryConv>(work, index);
}

}  // namespace onebit::learner
