// A fused unit of a binary network in training, on the CPU:
//
//   a = sign(u)                      u the unit's input less a threshold, perhaps scaled per sample
//   y = conv(a, sign(w))             16-bit integers, and the exact sums of y and y^2 that BatchNorm takes
//   z = slope y + offset (+ residual)
//   x = activation(z)                the input of the next unit
//
// and backward, from dz = dL/dz with the sums that BatchNorm's gradient takes,
//
//   g = dL/dy = k1 dz + k2 y + k3    on at most 256 levels over its range, rounded stochastically
//   dw = sum of g by a               exact integers, scaled once
//   d = conv^T(g, sign(w)) est'(u)   then the gradient of the sample's scaling, and the shortcut's
//   dz of the unit in front = activation'(.) d, and its sums
//
// Each function is one pass over the samples, which the threads share. The caller computes from the sums what BatchNorm
// needs, a number or two per channel. Sums of floats are taken in chunks of samples that depend on the shape alone, and
// the chunks' sums are added in order: the same bits for any number of threads, on every instruction set.
//
// Arrays are [batch][height][width][channels]; `Store` is float or Bfloat16.
#pragma once

#include <mutex>
#include <vector>

#include "base/thread_pool.h"
#include "gradient/input_gradient.h"
#include "gradient/weight_gradient.h"
#include "kernels/fused.h"

namespace onebit {

template <class Store>
struct UnitSigns {
  int64_t batch, pixels, channels;
  const Store* x;
  const float* threshold;  // [channels] or [batch], or null for 0
  bool per_sample;
  uint32_t* bits;
};

template <class Store>
struct UnitForward {
  int64_t batch, pixels, channels;
  const int16_t* y;
  const float *slope, *offset;
  const Store* residual;  // each from here on may be null
  UnitActivation activation;
  const float* parameters;
  Store *z, *x;
  const float* threshold;
  uint32_t* bits;
  double* statistics;  // x as stored, [batch][4]: sum, squares around the mean, minimum, maximum
};

// The end of a block: from the gradient g of x that of z.
template <class Store>
struct UnitEnd {
  int64_t batch, pixels, channels;
  const Store* gradient;
  const Store* x;  // for Hardtanh; z for RPReLU
  UnitActivation activation;
  const float* parameters;
  const int16_t* y;
  const float* mean;
  Store* dz;
  double* sums;  // [4][channels], see BackArgs
};

template <class Store>
struct UnitBackward {
  ConvShape shape;
  const Store* dz;
  const int16_t* y;
  const float* k;  // [3][out_c]
  Rounding rounding;
  const uint32_t *weight, *bits;
  float* weight_gradient;  // [out_c][kernel_h][kernel_w][in_c], or null
  Store* output;           // dz of the unit in front, or the gradient of the block's input; null where nobody asks
  SignEstimator estimator;
  float a, b, levels;
  const Store* x;          // the unit's input where it is stored
  const int16_t* front_y;  // dot products of the unit in front; null at the block's entrance
  const float *front_slope, *front_offset, *front_mean;
  const float* threshold;     // [in_c], or null
  const float* samples;       // [batch][4]: deviation, mean, 1 / (deviation^3 (k - 1)), 0; or null
  const Store* shortcut;      // or null
  UnitActivation activation;  // the front unit's
  const float* parameters;
  const Store* front_z;  // for RPReLU
  double* sums;          // [5][in_c]: those of BackArgs, and of the threshold's gradient; null at the entrance
};

// A shortcut to a wider stage: means of side x side pixels between zero channels. Rows and columns that fill no mean
// are left out. Forward from x to the output, [batch][height / side][width / side][before + channels + after]; backward
// from the output's gradient to x's.
struct UnitShortcut {
  int64_t batch, height, width, channels;
  int64_t side, before, after;

  int64_t rows() const { return height / side; }
  int64_t columns() const { return width / side; }
  int64_t wide() const { return before + channels + after; }
};

class Units {
 public:
  // Throws std::system_error, std::bad_alloc.
  Units(const Kernels& kernels, const TrainingKernels& training, const FusedKernels& fused, int threads);

  const char* isa() const { return kernels_.name; }

  // Why no unit can have this shape, the batch included; null if it can.
  static const char* unfit(const ConvShape& s);

  // Signs of weights as bits, [outputs][taps][words], and the magnitude of each output's. Returns whether each output
  // has one magnitude.
  bool pack(const float* weight, int64_t outputs, int64_t taps, int64_t channels, uint32_t* words, float* magnitude);

  // Turns the gradient of weights' signs, [outputs][taps][channels], into that of the weights sign * magnitude, in
  // place. Along the signs `exact` holds it without the levels' noise.
  void along_signs(int64_t outputs, int64_t taps, int64_t channels, const uint32_t* words, const float* magnitude,
                   const float* exact, float* gradient);

  template <class Store>
  void signs(const UnitSigns<Store>& a);

  // Fills `statistics`, as UnitForward has them, from the `count` values of each sample.
  template <class Store>
  void statistics(const Store* x, int64_t batch, int64_t count, double* statistics);

  // `weight`: sign bits [out_c][kernel_h][kernel_w][words]; `sums`: [2][out_c], of y and its square.
  void convolve(const ConvShape& s, const uint32_t* bits, const uint32_t* weight, int16_t* y, int64_t* sums);

  template <class Store>
  void normalize(const UnitForward<Store>& a);

  template <class Store>
  void shortcut(const UnitShortcut& s, const Store* x, Store* output);

  template <class Store>
  void shortcut_gradient(const UnitShortcut& s, const Store* gradient, Store* x);

  template <class Store>
  void end(const UnitEnd<Store>& a);

  template <class Store>
  void backward(const UnitBackward<Store>& a);

 private:
  struct Own {                // per thread
    Scratch<uint8_t> levels;  // or nibbles, forward
    Scratch<float> sums, coupling;
    Scratch<int64_t> dots;
  };

  // Both call add(begin, end, own) when the samples' y are there.
  template <class Add>
  void look_up(const ConvShape& s, const uint32_t* bits, const uint32_t* weight, int16_t* y, const Add& add);
  template <class Add>
  void engine(const ConvShape& s, const uint32_t* bits, const uint32_t* weight, int16_t* y, const Add& add);

  template <class Store>
  struct Call;
  template <class Store>
  struct Passage;

  template <class Store>
  const FusedPasses<Store>& passes() const;
  template <class Store>
  void describe(const Store* x, int64_t count, double* statistics) const;
  template <class Store>
  GradientRange range(const UnitBackward<Store>& a);
  std::vector<ShiftRun> runs_of(const ConvShape& s, const InputGradient::Part& part) const;
  template <class Store>
  void chunk(const Call<Store>& call, int64_t begin, int64_t end, size_t thread, float* sums);
  template <class Store>
  void levels(const Call<Store>& call, int64_t sample, uint8_t* to) const;
  template <class Store>
  void input(const Call<Store>& call, int64_t begin, int64_t end, const uint8_t* levels, Own& own, float* sums) const;
  template <class Store>
  void scaled_input(const Call<Store>& call, int64_t sample, const uint8_t* levels, Own& own, float* sums) const;

  const Kernels& kernels_;
  const FusedKernels& fused_;
  std::mutex mutex_;  // one call at a time
  ThreadPool pool_;
  InputGradient input_gradient_;
  WeightGradient weight_gradient_;
  std::vector<Own> own_;
  std::vector<GradientRange> ranges_;  // per thread
  Scratch<uint8_t> packed_;
  Scratch<float> chunk_sums_;
};

}  // namespace onebit
