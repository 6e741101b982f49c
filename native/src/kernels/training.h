// What training in integers asks of an instruction set, beside the convolutions of kernels.h: an 8-bit gradient from
// floats, the layout in which samples are the lanes, and the product that gives the weights' gradient.
//
// All sets give the same integers. Kernels neither allocate nor throw.
#pragma once

#include <cstdint>

namespace onebit {

constexpr int64_t kSamples = 64;  // the lanes of a block of samples

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

// Sums over samples and pixels of bytes by signs, for every pair of channels and every tap:
//   sums[o][c][ky][kx] = sum over n, y, x of gradient[o][y][x][n] * input[c][y stride_h + ky][x stride_w + kx][n]
// A unit is two output channels, the last one perhaps one. Pointers to bytes are 64-byte aligned. Of [block][channel]
// planes, each is a pixel longer than its image, so that those of images whose sides are powers of two do not all begin
// in one set of a cache.
namespace {
inline int64_t plane_bytes(int64_t height, int64_t width) { return (height * width + 1) * kSamples; }
}  // namespace

struct WeightGradientArgs {
  int64_t blocks;                                 // of kSamples samples
  int64_t out_h, out_w, out_c, in_h, in_w, in_c;  // the input holds its padding
  int64_t kernel_h, kernel_w, stride_h, stride_w;
  const uint8_t* gradient;  // [block][out_c] planes of [out_h][out_w][kSamples]
  const int8_t* input;      // [block][in_c] planes of [in_h][in_w][kSamples]
  int32_t* sums;            // [out_c][in_c][kernel_h][kernel_w]
};

struct Range {
  float minimum, maximum;
  bool finite;  // else the bounds say nothing
};

struct TrainingKernels {
  const char* name;
  Range (*range)(const float* values, int64_t count);  // of at least one
  void (*levels)(const LevelsArgs&);
  // to[c * to_step + n] = from[n * from_step + c], and 0 from `samples` to kSamples.
  void (*gather)(const uint8_t* from, int64_t from_step, int64_t samples, int64_t channels, uint8_t* to,
                 int64_t to_step);
  // to[bit * to_step + i] = +1 or -1 as the bit of words[i] is 0 or 1, for kSamples words.
  void (*expand)(const uint32_t* words, int64_t bits, int8_t* to, int64_t to_step);
  void (*weight_gradient)(const WeightGradientArgs&, int64_t begin, int64_t end);
};

const TrainingKernels& portable_training();
const TrainingKernels& avx512_training();

// Those that go with a table of kernels.h; null where training has none.
const TrainingKernels* training_kernels(const char* table);

}  // namespace onebit
