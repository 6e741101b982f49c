// The gradient of a convolution's ±1 input: bytes by signs, by the engine's convolution of bytes.
#pragma once

#include "training/gradient.h"

namespace onebit {

// What stands for the derivative of the sign that made the input: 1, 1 where |x| <= 1, or max(0, 2 - 2 |x|).
enum class Estimator : int32_t { none = 0, clipped = 1, quadratic = 2 };

class InputGradient {
 public:
  explicit InputGradient(const Kernels& kernels, const TrainingKernels& training)
      : kernels_(kernels), training_(training) {}

  // `weight`: sign bits [out_c][kernel_h][kernel_w][words]; `input`, where the estimator takes its derivative, and
  // `output`: [batch][in_h][in_w][in_c].
  void run(const ConvShape& s, const GradientAxis& y, const GradientAxis& x, const GridGradient& gradient,
           const uint32_t* weight, const float* input, Estimator estimator, float* output, Pool& pool, int threads);

 private:
  // The inputs of a phase in both axes, and some of their channels.
  struct Part {
    Phase y, x;
    int64_t first, channels;
    ConvShape shape;  // over the levels; batch as is asked for
    const Int8ConvKernel* kernel;
    int64_t packed;  // where its weights begin
  };

  struct Call;

  void plan(const ConvShape& s, const GradientAxis& y, const GradientAxis& x);
  void pack(const Call& call, const Part& part, int8_t* signs);
  void sum_borders(const Call& call);
  void samples(const Call& call, const Part& part, int64_t begin, int64_t end, float* sums) const;
  void finish(const Call& call, const Part& part, int64_t begin, int64_t end, const float* sums) const;

  const Kernels& kernels_;
  const TrainingKernels& training_;
  std::vector<Part> parts_;
  std::vector<int32_t> row_class_, column_class_;
  std::vector<uint64_t> row_taps_, column_taps_;  // of each class
  Scratch<uint8_t> packed_;
  Scratch<int8_t> signs_;
  Scratch<float> sums_, borders_;
  Scratch<int32_t> tap_sums_;
};

}  // namespace onebit
