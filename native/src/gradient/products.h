// The three products of a binary convolution in training, in integers: bits by bits forward, and 8-bit gradients by
// signs backward. Integers are exact; only their scaling to floats rounds.
//
// Images are [batch][height][width][channels], without groups and dilation, and zero in the padding.
#pragma once

#include <mutex>

#include "base/thread_pool.h"
#include "gradient/input_gradient.h"
#include "gradient/weight_gradient.h"

namespace onebit {

class Products {
 public:
  // Throws std::system_error, std::bad_alloc.
  Products(const Kernels& kernels, const TrainingKernels& training, int threads)
      : kernels_(kernels),
        threads_(threads),
        pool_(threads),
        gradient_(training),
        input_gradient_(training),
        weight_gradient_(training),
        own_(static_cast<size_t>(threads)) {}

  const char* isa() const { return kernels_.name; }

  // Why no call can have this shape, the batch included; null if it can.
  static const char* unfit(const ConvShape& s);

  // Signs as bits, [rows][words], with 0 and NaN as torch.ge(x, 0) has them. Returns whether all values were 1 or -1.
  bool pack(const float* values, int64_t rows, int64_t channels, uint32_t* words);

  // Writes the signs of `x` to `bits` and their convolution with `weight`, sign bits
  // [out_c][kernel_h][kernel_w][words], to `output`.
  void forward(const ConvShape& s, const float* x, const uint32_t* weight, uint32_t* bits, float* output);

  // From the gradient of the output those of the input and of the weight, [out_c][kernel_h][kernel_w][in_c]; each may
  // be null. The estimator's derivative is taken at `x`, which is null where there is none.
  void backward(const ConvShape& s, const float* gradient, const Rounding& rounding, const uint32_t* weight,
                const uint32_t* bits, const float* x, Estimator estimator, float* input_gradient,
                float* weight_gradient);

 private:
  struct Own {  // per thread
    Scratch<uint8_t> levels;
    Scratch<float> sums;
  };

  const Kernels& kernels_;
  const int threads_;
  std::mutex mutex_;  // one call at a time
  ThreadPool pool_;
  GridGradient gradient_;
  InputGradient input_gradient_;
  WeightGradient weight_gradient_;
  std::vector<Own> own_;
  Scratch<uint8_t> packed_;
  Scratch<float> intervals_;
};

}  // namespace onebit
