// The trainable tail of a packed network: its last blocks, from the output `latents` to `features`, as they are trained
// in integers (docs/learner.md). Source: Vorabbi et al., arXiv 2401.09916.
//
// A layer is a binary convolution with the binarize that feeds it, a float convolution, a pointwise operator, a pool,
// or channels of zeros beside those of its input. Layer i makes value i + 1, an image of codes 0 to 255; value 0 is
// `latents`.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "format/model.h"
#include "gradient/input_gradient.h"
#include "integer/quantizer.h"

namespace onebit::learner {

using namespace integer;

struct TailValue {
  int32_t h, w, c;
  FeatureQuantizer quantizer;

  int64_t pixels() const { return int64_t{h} * w; }
  int64_t elements() const { return pixels() * c; }
  double step() const { return static_cast<double>(quantizer.step); }
};

struct TailLayer {
  Op op;  // conv_binary, conv_float, pointwise, max_pool, average_pool or pad_channels
  uint32_t input;
  int64_t residual;   // a value; -1 where there is none
  ConvShape shape{};  // windows of a convolution or a pool; the batch is not set
  Activation activation = Activation::none;
  Estimator estimator = Estimator::none;
  std::vector<int16_t> thresholds;      // per channel, codes: the bit is +1 from there on
  std::vector<int32_t> centres;         // per channel, of the estimator, in units of 2^-15
  int32_t step = 0;                     // step of the input, in units of 2^-15
  int32_t residual_factor = 0;          // R
  int32_t limit = 0;                    // H
  Factor ratio{};                       // without parameters: the output's levels are sums times this
  int64_t count = 1;                    // n, the inputs of a mean
  int32_t channels_before = 0;          // channels of zeros that pad_channels puts first
  std::array<bool, 4> present{};        // scale, bias, slope, post: what the file lacks is not trained
  double largest = 0;                   // the real number that a latent weight of 127 stands for
  double level = 0;                     // the one that a level of 1 of a float weight stands for
  double source = 1;                    // the one that a sum of 1 stands for, before the scale
  int64_t weights = 0, parameters = 0;  // where its masters begin

  bool trained() const { return convolution() || op == Op::pointwise; }
  bool convolution() const { return op == Op::conv_binary || op == Op::conv_float; }
  int64_t weight_count() const {
    return convolution() ? int64_t{shape.out_c} * shape.kernel_h * shape.kernel_w * shape.in_c : 0;
  }
  int fraction() const { return op == Op::conv_float ? 24 : 16; }  // M has units of 2^-fraction
};

struct Tail {
  std::vector<TailValue> values;
  std::vector<TailLayer> layers;                           // layer i makes value i + 1
  std::vector<uint8_t> plus, minus;                        // codes of a latent's two values, one per channel
  int64_t weights = 0, parameters = 0, float_weights = 0;  // how many masters

  const TailValue& latents() const { return values.front(); }
  const TailValue& features() const { return values.back(); }
  int64_t words() const { return latents().pixels() * ((latents().c + 31) / 32); }  // per sample, of bits
};

}  // namespace onebit::learner
