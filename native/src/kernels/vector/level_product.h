// Products of 8-bit levels in 16 bits each, as loops that the compiler vectorises.
#pragma once

#include "kernels/tail.h"

namespace onebit {
namespace {

struct LevelProduct {
  // Four columns at a time, for all rows, so that they stay in the cache.
  static void run(const TailProductArgs& args) {
    const int64_t terms = args.terms;
    int64_t column = 0;
    for (; column + 4 <= args.columns; column += 4) {
      const int16_t* __restrict a = args.right + column * terms;
      const int16_t* __restrict b = a + terms, * __restrict c = b + terms, * __restrict d = c + terms;
      for (int64_t row = 0; row < args.rows; ++row) {
        const int16_t* __restrict left = args.left + row * terms;
        int32_t sum_a = 0, sum_b = 0, sum_c = 0, sum_d = 0;
        for (int64_t k = 0; k < terms; ++k) {
          sum_a += left[k] * a[k];
          sum_b += left[k] * b[k];
          sum_c += left[k] * c[k];
          sum_d += left[k] * d[k];
        }
        int32_t* to = args.sums + row * args.columns + column;
        to[0] = sum_a, to[1] = sum_b, to[2] = sum_c, to[3] = sum_d;
      }
    }
    for (; column < args.columns; ++column) {
      const int16_t* __restrict right = args.right + column * terms;
      for (int64_t row = 0; row < args.rows; ++row) {
        const int16_t* __restrict left = args.left + row * terms;
        int32_t sum = 0;
        for (int64_t k = 0; k < terms; ++k) sum += left[k] * right[k];
        args.sums[row * args.columns + column] = sum;
      }
    }
  }
};

}  // namespace
}  // namespace onebit
