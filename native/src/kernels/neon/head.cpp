#include "kernels/vector/head.h"

#include <arm_neon.h>

#include "kernels/neon/tables.h"

namespace onebit::neon {
namespace {

// SMLAL: 4 products of levels.
struct Widened {
  static constexpr int kLanes = 4;
  static constexpr int kClasses = 2, kSamples = 4, kRows = 4, kVectors = 2, kTogether = 4;
  using Int = Vector<kLanes>::Int;

  static Int load(const int16_t* from, int64_t count) { return onebit::load<Int>(from, count); }

  static void dot(Int& sum, Int a, Int b) {
    const auto x = reinterpret_cast<int16x8_t>(a), y = reinterpret_cast<int16x8_t>(b);
    const int32x4_t low = vmlal_s16(reinterpret_cast<int32x4_t>(sum), vget_low_s16(x), vget_low_s16(y));
    sum = reinterpret_cast<Int>(vmlal_s16(low, vget_high_s16(x), vget_high_s16(y)));
  }

  static void add_up(const Int (&sums)[4], int32_t* to) {
    const auto half = [&](int i) {
      const auto sum = reinterpret_cast<int32x4_t>(sums[i]);
      return vadd_s32(vget_low_s32(sum), vget_high_s32(sum));
    };
    vst1_s32(to, vpadd_s32(half(0), half(1)));
    vst1_s32(to + 2, vpadd_s32(half(2), half(3)));
  }

  static int16x4_t two(const int16_t* factors) {
    return vreinterpret_s16_s32(vdup_n_s32(onebit::load<int32_t>(factors)));
  }

  static void pair(Int& sum, Int packed, int16x4_t two) {
    const auto x = reinterpret_cast<int16x8_t>(packed);
    const int32x4_t first = vmlal_lane_s16(reinterpret_cast<int32x4_t>(sum), vget_low_s16(x), two, 0);
    sum = reinterpret_cast<Int>(vmlal_lane_s16(first, vget_high_s16(x), two, 1));
  }
};

}  // namespace

const HeadKernels& head() {
  static constexpr HeadKernels table = HeadPasses<Widened>::table("neon");
  return table;
}

}  // namespace onebit::neon
