// The elementwise passes of a fused training unit (training/unit.h) that every instruction set provides.
//
// Lanes are channels. A pass works on a run of pixels; arrays of a unit are [pixels][channels], of floats (float32 or
// bfloat16, in `Store`), 16-bit dot products or packed signs. All sets give the same bits: operations are those written
// in kernels/vector/fused.h, in that order, and sums over pixels, one per channel, are taken in their order.
// Kernels neither allocate nor throw.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace onebit {

// The upper half of a float32.
struct Bfloat16 {
  uint16_t bits;
};

enum class UnitActivation : int32_t { none = 0, hardtanh = 1, rprelu = 2 };

// The estimator of the derivative of the sign at u.
enum class SignEstimator : int32_t {
  none = 0,       // 1
  clipped = 1,    // 1 where |u| <= 1
  quadratic = 2,  // max(0, 2 - 2 |u|)
  tanh = 3,       // a (1 - tanh^2(b u))
  swish = 4,      // a (2 - b u tanh(b u / 2)) / (1 + cosh(b u))
  cyclic = 5,     // quadratic, of u on levels: a + b rint(clamp((u - a) / b, 0, levels))
};

// Signs of x >= threshold (per channel), packed: 1 is -1, as a NaN is.
template <class Store>
struct SignArgs {
  int64_t pixels, channels;
  const Store* x;
  const float* threshold;  // [channels], or null for 0
  float base;              // the threshold where the channels have none
  uint32_t* bits;          // [pixels][words]
};

// The convolution of signs by signs, zero in the padding, to 16-bit dot products, for whole samples.
struct SignConvArgs {
  ConvShape shape;
  const uint32_t* bits;  // [batch][in_h][in_w][words]
  const void* weight;    // as the kernel packed it
  void* scratch;         // 64-byte aligned
  int16_t* y;            // [batch][out_h][out_w][out_c]
};

struct SignConvKernel {
  bool (*fits)(const ConvShape&);
  size_t (*pack_bytes)(const ConvShape&);
  void (*pack)(const ConvShape&, const uint32_t* weight, void* packed);
  size_t (*scratch_bytes)(const ConvShape&);
  void (*run)(const SignConvArgs&);
};

// Adds the sums of dot products and of their squares.
struct DotSumsArgs {
  int64_t pixels, channels;
  const int16_t* y;
  int64_t squares;  // pixels whose squares add up within 31 bits
  int64_t* sums;    // [2][channels]
};

// z = slope y + offset + residual, x = activation(z), and the signs of x. Each of z, x, bits may be null.
template <class Store>
struct NormalizeArgs {
  int64_t pixels, channels;
  const int16_t* y;
  const float *slope, *offset;
  const Store* residual;  // or null
  UnitActivation activation;
  const float* parameters;  // RPReLU's [3][channels]: gamma, beta, zeta
  Store *z, *x;
  const float* threshold;  // [channels], or null for 0
  uint32_t* bits;
};

// The statistics that scaling a sample by its deviation needs.
struct SampleStatistics {
  double sum, squares;  // sums of x, and of (x - mean)^2
  double minimum, maximum;
};

// g = k[0] dz + k[1] y + k[2], with one k per channel.
template <class Store>
struct UnitGradient {
  int64_t pixels, channels;
  const Store* dz;
  const int16_t* y;
  const float* k;  // [3][channels]
};

struct GradientRange {
  float minimum, maximum;  // NaN where a gradient is not finite
};

// Levels q = min(floor((g - minimum) * inverse + u), levels). u is noise of 16 bits in [0, 1), a function of the seed
// and the element's place in the batch; `pixels` is even or ends the sample.
template <class Store>
struct UnitLevelsArgs {
  UnitGradient<Store> gradient;
  float minimum, inverse;
  int32_t levels;  // at most 255
  uint32_t seed;
  int64_t first;  // half the number of the first pixel, times the channels
  uint8_t* output;
};

// Neighbouring pixels whose windows have the same taps inside, and where their shifts are.
struct ShiftRun {
  int64_t pixels;
  int64_t at;  // in `shift`
};

// d = est'(u) * (scale * (sum - shift) + offset), in place of the sums of the product; u = (x - threshold) / deviation.
// x is stored, or, in front of an inner unit's sign, slope y + offset.
template <class Store>
struct EstimateArgs {
  int64_t channels;
  const ShiftRun* runs;
  int64_t count;  // how many runs
  float* sums;    // [pixels of all runs][channels]
  const float *shift, *offset;
  float scale;
  SignEstimator estimator;
  float a, b, levels;      // the estimator's
  const float* threshold;  // or null
  float deviation;         // the sample's; used where `coupled`
  bool coupled;
  const Store* x;          // or null
  const int16_t* front_y;  // else
  const float *front_slope, *front_offset;
  int64_t step;           // elements from a pixel of x and front_y to the next
  float* threshold_sums;  // -= d, or null
  float* coupling;        // += d x [channels], where `coupled`
};

// g = d, or, of a scaled sample, d * inverse - (x - mean) * share; plus the shortcut's; dz = activation'(.) g.
// sums [4][row]: of dz, dz (y - mean), and of RPReLU g, g (z - gamma) where z <= gamma.
template <class Store>
struct BackArgs {
  int64_t pixels, channels;
  int64_t row;            // channels of the whole unit: a row of the parameters and the sums
  const float* d;         // [pixels][channels], or null
  const Store* gradient;  // else: g at the block's end
  bool coupled;
  float inverse, sample_mean, share;
  const Store* shortcut;  // or null
  UnitActivation activation;
  const float* parameters;      // RPReLU's [3][row]
  const Store* x;               // stored output, for `coupled` and Hardtanh; or null
  const Store* z;               // for RPReLU
  const int16_t* y;             // dot products of the unit in front; null at the block's entrance
  const float *slope, *offset;  // an inner unit's, where x is null
  const float* mean;            // the mean of y
  int64_t step;                 // elements from a pixel to the next, in all but d
  Store* output;
  float* sums;
};

// A row of a shortcut to a wider stage: `columns` means of side x side pixels, with zero channels around them.
template <class Store>
struct MeansArgs {
  int64_t columns, channels;
  int64_t side, row;      // pixels along a mean; pixels in a row of x
  int64_t before, after;  // zero channels
  const Store* x;
  Store* output;  // [columns][before + channels + after]
};

// Its gradient: each output's, divided by the pixels of a mean, goes to all of them.
template <class Store>
struct SpreadArgs {
  int64_t columns, channels;
  int64_t side, row;
  int64_t before, after;
  const Store* gradient;  // [columns][before + channels + after]
  Store* output;
};

template <class Store>
struct FusedPasses {
  void (*signs)(const SignArgs<Store>&);
  void (*normalize)(const NormalizeArgs<Store>&);
  SampleStatistics (*statistics)(const Store* x, int64_t count);
  GradientRange (*range)(const UnitGradient<Store>&);
  void (*levels)(const UnitLevelsArgs<Store>&);
  void (*estimate)(const EstimateArgs<Store>&);
  void (*back)(const BackArgs<Store>&);
  void (*means)(const MeansArgs<Store>&);
  void (*spread)(const SpreadArgs<Store>&);
};

struct FusedKernels {
  const char* name;
  SignConvKernel convolve;                                     // all null where the engine's own is better
  void (*dots)(const float* from, int64_t count, int16_t* y);  // whole numbers, as the engine's convolution writes them
  void (*dot_sums)(const DotSumsArgs&);
  FusedPasses<float> float32;
  FusedPasses<Bfloat16> bfloat16;
};

}  // namespace onebit
