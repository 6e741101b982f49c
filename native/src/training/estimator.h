#pragma once

#include <cmath>
#include <cstdint>

namespace onebit {

// What stands for the derivative of the sign that made the input: 1, 1 where |x| <= 1, or max(0, 2 - 2 |x|).
enum class Estimator : int32_t { none = 0, clipped = 1, quadratic = 2 };

inline float derivative(Estimator estimator, float x) {
  const float distance = std::fabs(x);
  if (estimator == Estimator::clipped) return distance <= 1.0f ? 1.0f : 0.0f;
  const float slope = distance * -2.0f + 2.0f;
  return slope < 0.0f ? 0.0f : slope;
}

}  // namespace onebit
