// Integer softmax: p_k = 2^-(t_max - t_k) / sum, with t = z log2(e).
#pragma once

#include <cstddef>
#include <cstdint>

#include "integer/fixed.h"

namespace onebit::integer {

constexpr int kOne = 1 << 16;  // probability 1 in the result of softmax()

// 2^-t for t >= 0 in units of 2^-16; the result in units of 2^-30. A polynomial of degree 4 on [0, 1): relative error
// below 4e-6 before the last shift, so the absolute error is below 4e-6 + 2^-30.
int64_t exp2_negative(int64_t t);

// 2^-t of a score that is `difference` below the largest; `factor` turns a difference of scores into t.
inline int64_t softmax_power(int64_t difference, Factor factor) {
  return exp2_negative(multiply(difference, factor, 16));
}

// scores: K integers. powers[k] = 2^-(t_max - t_k), returns their sum (K <= 2^16).
int64_t softmax_powers(const int32_t* scores, size_t count, Factor factor, int64_t* powers);

// |p / kOne - softmax in real numbers| < 2^-17 + 1e-5 + K 2^-31 for each k (tests/integer/softmax_test.cpp): half a
// step of the result; the polynomial and half a step of t; the last bit of each power.
void softmax(const int32_t* scores, size_t count, Factor factor, int64_t* powers, uint32_t* p);

}  // namespace onebit::integer
