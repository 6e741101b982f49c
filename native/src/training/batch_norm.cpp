#include "training/batch_norm.h"

#include <algorithm>
#include <cmath>

namespace onebit {

void batch_norm(const NormForward& a) {
  const int64_t n = a.channels, m = a.count;
  const auto count = static_cast<double>(m);
  const auto at = [](const float* array, int64_t c, double otherwise) {
    return array ? static_cast<double>(array[c]) : otherwise;
  };
  for (int64_t c = 0; c < n; ++c) {
    const int64_t sum = a.sums[c], squares = a.sums[n + c];
    int64_t centre = sum / m;  // around it the squares are small: no digits are lost
    if (sum % m < 0) --centre;
    const auto first = static_cast<double>(sum - centre * m);
    const auto second = static_cast<double>(squares - centre * (2 * sum - centre * m));
    const double mean = static_cast<double>(centre) + first / count;
    const double variance = (second - first * (first / count)) / count;
    const double alpha = at(a.magnitude, c, 1) * at(a.scale, c, 1), gamma = at(a.gamma, c, 1);
    const double deviation = std::sqrt(alpha * alpha * variance + a.epsilon);
    const double slope = gamma * alpha / deviation;
    double* state = a.state + c;
    state[kAlpha * n] = alpha, state[kGamma * n] = gamma, state[kDeviation * n] = deviation;
    state[kSlope * n] = slope, state[kMean * n] = mean;
    float* to = a.coefficients + c;
    to[0] = static_cast<float>(slope);
    to[n] = static_cast<float>(at(a.beta, c, 0) - slope * mean);
    to[2 * n] = static_cast<float>(mean);
    to[3 * n] = static_cast<float>(alpha * mean);
    to[4 * n] = static_cast<float>(alpha * alpha * variance * (count / (count - 1)));
  }
}

void centre_sums(int64_t channels, const double* state, const float* mean, double* sums) {
  if (!std::all_of(sums, sums + 4 * channels, [](double sum) { return std::isfinite(sum); })) {
    std::fill_n(sums, 4 * channels, NAN);
    return;
  }
  for (int64_t c = 0; c < channels; ++c)
    sums[channels + c] += (static_cast<double>(mean[c]) - state[kMean * channels + c]) * sums[c];
}

void batch_norm_gradient(const NormBackward& a) {
  const int64_t n = a.channels;
  const auto count = static_cast<double>(a.count);
  for (int64_t c = 0; c < n; ++c) {
    const double* state = a.state + c;
    const double alpha = state[kAlpha * n], s = state[kDeviation * n], slope = state[kSlope * n], r = alpha / s;
    const double share = r * r * a.total[n + c] / count;
    float* k = a.k + c;
    k[0] = static_cast<float>(slope);
    k[n] = static_cast<float>(slope * -share);
    k[2 * n] = static_cast<float>(slope * (share * state[kMean * n] - a.total[c] / count));
    const double beta = a.sums[c], of_alpha = state[kGamma * n] * a.epsilon / (s * s * s) * a.sums[n + c];
    const double magnitude = a.magnitude ? static_cast<double>(a.magnitude[c]) : 1.0;
    const double rows[] = {of_alpha * magnitude, r * a.sums[n + c], beta, -beta, a.sums[3 * n + c], a.sums[2 * n + c],
                           of_alpha * alpha / magnitude};
    float* to = a.gradients + c;
    for (double row : rows) *to = static_cast<float>(row), to += n;
  }
}

}  // namespace onebit
