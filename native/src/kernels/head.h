// The passes of a step of SGD over the quantised head (learner/head/head.h), in integers.
//
// All sets give the same integers; `portable` is the definition. Passes neither allocate nor throw. Levels of features
// and weights are in [-255, 255], errors in [-128, 127], and a row has at most 32768 levels. A group is up to
// kGroup samples, whose scores and errors stand side by side: [rows][kGroup].
#pragma once

#include <cstddef>
#include <cstdint>

namespace onebit {

constexpr int64_t kGroup = 64;

// The width of a row of levels that is padded.
constexpr int64_t head_pitch(int64_t width) { return (width + 31) / 32 * 32; }

struct HeadRange {
  int32_t low, high;
};

// w = clamp(round(50 255 W / (52 span)) + zero, 0, 255) - zero, for |W| <= span <= 65535.
struct HeadQuantizeArgs {
  const int16_t* masters;  // [rows][width]
  int64_t rows, width;
  int32_t span, zero;
  int16_t* weights;  // [rows][head_pitch(width)]; elements behind a row's width are left alone
};

// scores[k][s] = w_k . x_s
struct HeadScoresArgs {
  const int16_t* weights;  // [rows][head_pitch(width)], zeros behind a row's width
  int64_t rows, width;
  const int16_t* const* inputs;
  int64_t samples;
  int32_t* scores;
  int64_t scores_step;  // from one row of scores to the next
};

// e = clamp(round((round(255 softmax) - 255 onehot) / 2), -128, 127), with the softmax of integer/softmax.h. Columns
// from `samples` on may be written.
struct HeadErrorsArgs {
  int32_t* scores;  // [rows][kGroup]; it holds anything afterwards
  int64_t rows, samples;
  int32_t mantissa, shift;  // the factor of integer/softmax.h, mantissa * 2^-shift
  const uint32_t* targets;  // the row of each sample
  int16_t* errors;          // [rows][kGroup]
};

// sums[r][i] += sum over j of factors[r][j] x_j[i], the x_j as `pack` wrote them.
struct HeadProductArgs {
  const int16_t* factors;
  int64_t rows;
  int64_t factors_step;   // even; up to an even number, elements behind `terms` factors may be read
  const int16_t* packed;  // 64-byte aligned
  int64_t terms, width;
  int32_t* sums;
  int64_t sums_step;
};

// W <- saturate16(W - floor(round(gradient * rate * 2^16) 2^-16 + u)), with 16 bits of noise u from the key and the
// entry's index; entries without a gradient stay.
struct HeadUpdateArgs {
  const int32_t* gradient;
  int64_t count;
  int64_t maximum;  // no |gradient| is larger
  int32_t mantissa, shift;  // rate = mantissa * 2^-shift
  uint32_t key;
  int16_t* masters;
};

struct HeadKernels {
  const char* name;
  HeadRange (*range)(const int16_t* values, int64_t count);  // the range of the values and 0
  void (*quantize)(const HeadQuantizeArgs&);
  void (*scores)(const HeadScoresArgs&);
  void (*errors)(const HeadErrorsArgs&);
  // Rows of levels for `product`: (terms, rounded up to even) * head_pitch(width) elements, 64-byte aligned.
  void (*pack)(const int16_t* const* rows, int64_t terms, int64_t width, int16_t* packed);
  void (*product)(const HeadProductArgs&);
  void (*update)(const HeadUpdateArgs&);
};

}  // namespace onebit
