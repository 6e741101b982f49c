// BatchNorm behind a binary product, in closed form and in double precision, a few numbers per channel.
//
// The product y of signs by signs is an integer, so its sums over the batch are exact. With a scale alpha of the
// channel, BatchNorm makes of it
//
//   z = gamma (alpha y - alpha mean) / s + beta = slope y + offset,   s = sqrt(alpha^2 var + epsilon),   r = alpha / s
//
// and of the gradient dz = dL/dz over m values, with Z0 = sum of dz and Z1 = sum of dz (y - mean),
//
//   dL/dbeta = Z0,   dL/dgamma = r Z1,   dL/dalpha = gamma epsilon Z1 / s^3
//   dL/dy = gamma r (dz - Z0 / m - r^2 (y - mean) Z1 / m) = k0 dz + k1 y + k2
//
// dL/dalpha is what is left of the difference of two large numbers, if one sums dL/dy y instead.
#pragma once

#include <cstdint>

namespace onebit {

// Rows of `state`, [kNormRows][channels], that go from the forward to the backward pass.
enum NormRow { kAlpha, kGamma, kDeviation, kSlope, kMean, kNormRows };

// The operands are [channels], or null: alpha is magnitude * scale, of ones where there is none.
struct NormForward {
  int64_t channels, count;  // m
  const int64_t* sums;      // [2][channels], of y and y^2
  const float *magnitude, *scale, *gamma, *beta;
  double epsilon;
  double* state;
  float* coefficients;  // [5][channels]: slope, offset, mean of y; mean and unbiased variance of alpha y
};

void batch_norm(const NormForward& a);

// Makes of the sums of dz (y - mean), taken around the mean in float32, those around the mean; NaN of all, if one of
// them is not finite. `sums`: [4][channels], see UnitEnd.
void centre_sums(int64_t channels, const double* state, const float* mean, double* sums);

struct NormBackward {
  int64_t channels, count;
  double epsilon;
  const double* state;
  const double* sums;      // [4][channels], of this process
  const double* total;     // [2][channels], their first two over the whole batch
  const float* magnitude;  // or null
  float* k;                // [3][channels]
  float* gradients;  // [7][channels]: of scale, gamma, beta, of RPReLU's shift, slope and rise, and of the weights along
                     // their signs
};

void batch_norm_gradient(const NormBackward& a);

}  // namespace onebit
