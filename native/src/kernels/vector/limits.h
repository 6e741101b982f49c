// The intervals of a block of outputs, in the form that the comparison with a bit takes.
#pragma once

#include "kernels/kernels.h"
#include "kernels/vector/simd.h"

namespace onebit {
namespace {

template <int N, int Outputs>
class Limits {
 public:
  Limits() = default;

  // The limits of `count` outputs from `first` on; spare lanes repeat the first output.
  Limits(const BinaryConvArgs& args, int64_t first, int64_t count) {
    if (args.output && !args.bits.words) return;
    for (int64_t i = 0; i < Outputs; ++i) {
      const int64_t o = first + (i < count ? i : 0);
      if (args.output) {
        std::memcpy(&low_[i], args.bits.interval + 2 * o, 4);
        std::memcpy(&high_[i], args.bits.interval + 2 * o + 1, 4);
      } else {
        const int32_t low = args.interval[2 * o], high = args.interval[2 * o + 1];
        low_[i] = static_cast<uint32_t>(low <= high ? low : kNever);
        high_[i] = low <= high ? static_cast<uint32_t>(high) - static_cast<uint32_t>(low) : 0;
      }
    }
  }

  // Vector v of the limits. Floats: both bounds. Integers: the lower bound, and how far above it a dot may be, modulo
  // 2^32.
  template <class V>
  V low(int v) const {
    return load<V>(low_ + v * N);
  }
  template <class V>
  V high(int v) const {
    return load<V>(high_ + v * N);
  }

 private:
  static constexpr int32_t kNever = INT32_MIN;  // no dot is as low
  alignas(64) uint32_t low_[Outputs], high_[Outputs];
};

}  // namespace
}  // namespace onebit
