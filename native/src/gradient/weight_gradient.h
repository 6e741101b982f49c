// The gradient of a convolution's ±1 weights: levels by signs, summed over samples and pixels.
#pragma once

#include "base/scratch.h"
#include "gradient/grid.h"

namespace onebit {

class WeightGradient {
 public:
  explicit WeightGradient(const TrainingKernels& kernels) : kernels_(kernels) {}

  // For calls of `add` with at most `samples` samples, of which there are at most 127; the sums are zero. Throws
  // std::bad_alloc.
  void prepare(const ConvShape& s, const GradientAxis& y, const GradientAxis& x, int64_t samples, int threads);

  // Adds what `samples` samples give, to the sums of a thread. `levels`: [samples][y.size][x.size][out_c]; `bits`: the
  // input's signs [samples][in_h][in_w][words].
  void add(const uint8_t* levels, const uint32_t* bits, int64_t samples, size_t thread);

  // `output`: [out_c][kernel_h][kernel_w][in_c].
  void finish(const Grid& grid, float* output, ThreadPool& pool);

 private:
  // Per thread. Signs that the taps meet are counted by the places of a sample's plane: few samples in bytes.
  struct Own {
    Scratch<uint8_t> quads, bits;
    Scratch<int8_t> planes, few_totals;
    Scratch<int32_t> sums, totals;
    int64_t few;  // samples in few_totals
    bool begun;
  };

  void spread_levels(const uint8_t* levels, int64_t samples, Own& own) const;
  void spread_bits(const uint32_t* bits, int64_t samples, Own& own) const;
  void count_few(Own& own) const;
  void sum_signs(int32_t* signs) const;

  const TrainingKernels& kernels_;
  ConvShape s_ = {};
  int64_t levels_row_ = 0, levels_image_ = 0, levels_first_ = 0;
  int64_t vectors_ = 0, columns_ = 0, row_steps_ = 0, max_samples_ = 0;
  int64_t phases_ = 0, phase_ = 0, row_ = 0, rows_ = 0, sample_ = 0, plane_ = 0;  // bytes in a plane
  Scratch<int64_t> starts_, offsets_;
  Scratch<uint8_t> inside_;
  Scratch<int32_t> signs_;
  std::vector<Own> own_;
  std::vector<const int32_t*> sums_;
};

}  // namespace onebit
