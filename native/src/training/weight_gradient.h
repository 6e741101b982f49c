// The gradient of a convolution's ±1 weights: bytes by signs, summed over samples and pixels.
#pragma once

#include "training/gradient.h"

namespace onebit {

class WeightGradient {
 public:
  explicit WeightGradient(const TrainingKernels& kernels) : kernels_(kernels) {}

  // `bits`: the input's signs [batch][in_h][in_w][words]; `output`: [out_c][kernel_h][kernel_w][in_c].
  void run(const ConvShape& s, const GradientAxis& y, const GradientAxis& x, const GridGradient& gradient,
           const uint32_t* bits, float* output, Pool& pool);

 private:
  void spread_gradient(const ConvShape& s, const GradientAxis& y, const GradientAxis& x, const uint8_t* levels,
                       Pool& pool);
  void spread_input(const ConvShape& s, const uint32_t* bits, Pool& pool);
  void finish(const ConvShape& s, const Grid& grid, float* output, Pool& pool) const;

  const TrainingKernels& kernels_;
  WeightGradientArgs args_ = {};
  Scratch<uint8_t> gradient_;  // one channel more, of ones: its sums are what a constant gradient adds
  Scratch<int8_t> input_;
  Scratch<int32_t> sums_;
};

}  // namespace onebit
