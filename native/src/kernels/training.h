// What training in integers asks of an instruction set, beside the convolutions of kernels.h: an 8-bit gradient from
// floats, and the products of its levels with signs that give the gradients of the input and of the weights.
//
// All sets give the same integers. Kernels neither allocate nor throw.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace onebit {

// Floats to levels: q = min(floor((g - minimum) * inverse + u), levels), and 0 for what is not a number. u is noise of
// 16 bits in [0, 1), a function of the seed and `first + i` (modulo 2^32) alone; so a g on a level keeps it.
struct LevelsArgs {
  const float* gradient;
  int64_t count;
  float minimum, inverse;
  int32_t levels;  // at most 255
  uint32_t seed;
  int64_t first;
  uint8_t* output;
};

// A row of levels with 4 neighbouring pixels side by side, a set's `lanes` channels per vector:
//   quads[v * quad_step + (x / 4 * lanes + l) * 4 + x % 4] = levels[x][v * lanes + l]
// and values that add nothing where the row or the channels end before.
struct QuadsArgs {
  const uint8_t* levels;  // [pixels][channels]
  int64_t pixels, channels;
  uint8_t* quads;
  int64_t quad_step;
};

// The estimator of the derivative of the sign that made the input: 1, 1 where |x| <= 1, or max(0, 2 - 2 |x|).
enum class Estimator : int32_t { none = 0, clipped = 1, quadratic = 2 };

// A row of the input's gradient from its sums, for some of the channels:
//   output[i * step + c] = derivative(input[i * step + c]) * (scale * (sums[i][c] - shift[c]) + offset[c])
// where shift and, `in_c` floats behind it, offset are those of the class that pixel i has.
struct InputFinishArgs {
  int64_t pixels, channels;
  const float* sums;       // [pixels][channels]
  const float* shifts;     // [classes][2][in_c]
  const int32_t* classes;  // pixel i has classes[i * class_step]
  int64_t class_step, in_c;
  float scale;
  Estimator estimator;
  const float* input;  // null where the estimator is none
  float* output;
  int64_t step;
};

constexpr int64_t kPlaneGranule = 64;

// Bits to planes of ±1, one per channel: planes[c * size + i] = inside[i] & (bit ? -1 : 1). Adds the samples that lie
// behind each other in them:
//   totals[c * total_step + i] += sum over n of planes[c * size + n * sample + i], for i < sample, modulo 2^8
// The other totals may hold anything. `planes` has kPlaneGranule bytes more.
struct PlanesArgs {
  const uint8_t* bits;    // [channels / 8, rounded up][size], a byte per 8 channels, lowest first
  const uint8_t* inside;  // [size], 0 or 255
  int64_t size, channels;
  int8_t* planes;
  int64_t samples, sample;
  int8_t* totals;
  int64_t total_step;  // a multiple of kPlaneGranule
};

// Sums of levels by signs for every output channel and every column, which is an input channel and a tap. A step is 4
// neighbouring pixels of the gradient:
//   sums[v][column][l] += sum over steps and j of quads[v][step][l][j] * planes[offsets[column] + starts[step] + j]
struct WeightGradientArgs {
  int64_t vectors, columns, steps;  // each at least one
  const uint8_t* quads;
  int64_t quad_step;
  const int8_t* planes;
  const int64_t *offsets, *starts;
  int32_t* sums;  // [vectors][columns][lanes]
  bool first;     // nothing is in them yet
};

// From those sums to the gradient: output[o][tap][c] = scale * sum + minimum * signs, in double, for the vectors of
// outputs [begin, end).
struct WeightFinishArgs {
  int64_t out_c, in_c, taps;
  const int32_t* const* sums;  // per thread
  int64_t threads;
  const int32_t* signs;  // [in_c][taps]: sum of the signs that a column met
  double scale, minimum;
  float* output;
};

struct Range {
  float minimum, maximum;
  bool finite;  // else the bounds say nothing
};

struct TrainingKernels {
  const char* name;
  Range (*range)(const float* values, int64_t count);  // at least one value
  void (*levels)(const LevelsArgs&);
  KernelList<Int8ConvKernel> input_gradient;  // levels by weights that are -1, 0 or 1; no epilogue
  void (*input_finish)(const InputFinishArgs&);
  int64_t lanes;  // output channels per vector in the weights' gradient
  void (*quads)(const QuadsArgs&);
  void (*planes)(const PlanesArgs&);
  void (*weight_gradient)(const WeightGradientArgs&);
  void (*weight_finish)(const WeightFinishArgs&, int64_t begin, int64_t end);
};

}  // namespace onebit
