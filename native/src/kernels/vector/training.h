// The elementwise kernels of training, for the vectors of each instruction set's folder.
#pragma once

#include "kernels/training.h"
#include "kernels/vector/simd.h"

namespace onebit {
namespace {

template <int N>
Range range_of(const float* values, int64_t count) {
  using F = Float<N>;
  constexpr int kChains = 4;
  F low[kChains], high[kChains], poison[kChains] = {};
  for (int j = 0; j < kChains; ++j) low[j] = high[j] = F{} + values[0];
  int64_t i = 0;
  for (; i + kChains * N <= count; i += kChains * N) {
#pragma GCC unroll 4
    for (int j = 0; j < kChains; ++j) {
      const F v = load<F>(values + i + j * N);
      low[j] = v < low[j] ? v : low[j];
      high[j] = v > high[j] ? v : high[j];
      poison[j] = poison[j] + v * 0.0f;  // NaN from the first value that is not finite on
    }
  }
  for (; i < count; ++i) {
    const F v = F{} + values[i];
    low[0] = v < low[0] ? v : low[0];
    high[0] = v > high[0] ? v : high[0];
    poison[0] = poison[0] + v * 0.0f;
  }
  Range range = {values[0], values[0], true};
  for (int j = 0; j < kChains; ++j) {
    for (int n = 0; n < N; ++n) {
      range.minimum = low[j][n] < range.minimum ? low[j][n] : range.minimum;
      range.maximum = high[j][n] > range.maximum ? high[j][n] : range.maximum;
      range.finite = range.finite && poison[j][n] == 0.0f;
    }
  }
  return range;
}

// 16 bits of noise: the finaliser "lowbias32" by C. Wellons on the index, mixed with the seed.
inline uint32_t noise(uint32_t index, uint32_t seed) {
  uint32_t h = index ^ seed;
  h ^= h >> 16;
  h *= 0x7feb352du;
  h ^= h >> 15;
  h *= 0x846ca68bu;
  return h >> 16;
}

// Left to the compiler, which vectorises it.
inline void levels_of(const LevelsArgs& args) {
  const float* __restrict gradient = args.gradient;
  uint8_t* __restrict output = args.output;
  const float minimum = args.minimum, inverse = args.inverse, max_level = static_cast<float>(args.levels);
  const auto first = static_cast<uint32_t>(args.first), count = static_cast<uint32_t>(args.count);
  const uint32_t seed = args.seed;
  for (uint32_t i = 0; i < count; ++i) {
    const float u = static_cast<float>(static_cast<int32_t>(noise(first + i, seed))) * 0x1p-16f;
    float q = (gradient[i] - minimum) * inverse + u;
    q = q > 0.0f ? q : 0.0f;  // NaN too
    q = q < max_level ? q : max_level;
    output[i] = static_cast<uint8_t>(static_cast<int32_t>(q));
  }
}

template <int N, Estimator E>
void input_finish_row(const InputFinishArgs& args) {
  using F = Float<N>;
  const F zero = {};
  for (int64_t i = 0; i < args.pixels; ++i) {
    const float* sums = args.sums + i * args.channels;
    const float* shift = args.shifts + 2 * args.in_c * args.classes[i * args.class_step];
    for (int64_t c = 0; c < args.channels; c += N) {
      const int64_t count = args.channels - c;
      const F centred = load<F>(sums + c, count) - load<F>(shift + c, count);
      F y = args.scale * centred + load<F>(shift + args.in_c + c, count);
      if constexpr (E != Estimator::none) {
        const F x = load<F>(args.input + i * args.step + c, count), distance = x < zero ? -x : x;
        const F slope = distance * -2.0f + 2.0f;
        y = (E == Estimator::clipped ? (distance <= zero + 1.0f ? zero + 1.0f : zero)
             : slope < zero          ? zero
                                     : slope) *
            y;
      }
      store(args.output + i * args.step + c, y, count);
    }
  }
}

template <int N>
void input_finish(const InputFinishArgs& args) {
  switch (args.estimator) {
    case Estimator::none: return input_finish_row<N, Estimator::none>(args);
    case Estimator::clipped: return input_finish_row<N, Estimator::clipped>(args);
    case Estimator::quadratic: return input_finish_row<N, Estimator::quadratic>(args);
  }
}

}  // namespace
}  // namespace onebit
