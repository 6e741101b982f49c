// The passes between the products of the teachable tail (docs/learner.md), over [pixels][channels], in integers.
//
// All sets give the same integers. Passes neither allocate nor throw. Codes are levels plus the zero of their value,
// 0 to 255.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace onebit {

// Z = clamp(M s + N + R r, +-(2^31 - 1)), in units of 2^-16 output levels. m, n, a (the slope) and p (after the
// activation): one per channel.
struct TailSums {
  int64_t pixels, channels;
  const int16_t* sums;      // s
  const uint8_t* residual;  // codes; null where there is none
  const int32_t *m, *n, *a, *p;
  int32_t residual_factor, residual_zero;
  int32_t limit;  // hardtanh's
  Activation activation;
  const int32_t* wide = nullptr;  // s where 16 bits do not hold it, then M s becomes round(M s 2^-8)
};

struct TailCodesArgs {
  TailSums z;
  int32_t zero;
  uint8_t* output;
};

// G becomes G', the gradient before the activation. Sums over pixels are added to dm, dn, da, dp;
// `maxima` grow to the largest |G'| per channel.
struct TailGradientArgs {
  TailSums z;
  int16_t* gradient;
  int64_t *dm, *dn, *da, *dp;
  int32_t* maxima;
};

// floor(G' m 2^-shift inverse 2^-39 + u), with 16 bits of noise u of the key and the index, from `first` on.
struct TailLevelsArgs {
  int64_t pixels, channels;
  const int16_t* gradient;
  const int32_t* m;
  int32_t shift, inverse;  // the shift may be negative
  uint32_t key, first;
  int8_t* output;
};

// T = G' m.
struct TailInputArgs {
  int64_t pixels, channels;
  const int16_t* gradient;
  const int32_t* m;
};

// T = sum * d(q step - threshold), d the derivative of the sign's estimator in units of 2^-14.
struct TailEstimateArgs {
  int64_t pixels, channels;
  const int32_t* sums;
  const uint8_t* codes;
  int32_t zero, step;
  const int32_t* thresholds;
  bool quadratic;
};

// T = a * by_a + b * by_b; written over a.
struct TailAddArgs {
  int64_t count;
  int16_t* a;
  int32_t by_a;
  const int16_t* b;
  int32_t by_b;
};

// w <- clamp(w - floor(round(sum * mantissa * 2^-shift) 2^-16 + u), +-127); shift from 0 to 62.
struct TailUpdateArgs {
  int64_t count;
  const int32_t* sums;
  int32_t mantissa, shift;
  uint32_t key, first;
  int8_t* weights;
};

// sums[row][column] = sum over the terms k of left[row][k] * right[column][k], which 32 bits hold.
struct TailProductArgs {
  int64_t rows, columns, terms;
  const int16_t *left, *right;
  int32_t* sums;
};

struct TailKernels {
  const char* name;
  void (*integers)(const float* from, int64_t count, int16_t* to);
  void (*levels_of)(const uint8_t* codes, int64_t count, int32_t zero, int16_t* to);
  // codes[c] = plus[c] or minus[c] as the bit is 0 or 1.
  void (*unpack)(const uint32_t* words, int64_t pixels, int64_t channels, const uint8_t* plus, const uint8_t* minus,
                 uint8_t* codes);
  // The bit is 1 where code < threshold.
  void (*binarize)(const uint8_t* codes, int64_t pixels, int64_t channels, const int16_t* thresholds, uint32_t* words);
  // The bit is 1 where the weight is negative.
  void (*signs)(const int8_t* weights, int64_t rows, int64_t channels, uint32_t* words);
  void (*codes)(const TailCodesArgs&);
  void (*gradient)(const TailGradientArgs&);
  void (*levels)(const TailLevelsArgs&);
  // The largest |T|, and G = clamp(round_shift(T, shift), +-32767).
  void (*input)(const TailInputArgs&, int32_t shift, int16_t* to);
  int64_t (*max_of_estimate)(const TailEstimateArgs&);
  void (*estimate)(const TailEstimateArgs&, int32_t shift, int16_t* to);
  int64_t (*max_of_add)(const TailAddArgs&);
  void (*add)(const TailAddArgs&, int32_t shift);
  void (*update)(const TailUpdateArgs&);
  void (*products)(const TailProductArgs&);
};

}  // namespace onebit
