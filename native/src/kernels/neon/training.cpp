#include "kernels/vector/training.h"

#include "kernels/neon/tables.h"
#include "kernels/neon/training.h"
#include "kernels/vector/level_conv.h"
#include "kernels/vector/weight_gradient.h"

namespace onebit::neon {
namespace {

// SMLAL: products of up to 128, of which 255 fit 16 bits.
struct Halves : NeonLevels {
#ifdef __aarch64__
  static constexpr int kVectors = 2, kPixels = 4;         // input gradient
  static constexpr int kWeightVectors = 1, kColumns = 9;  // weight gradient
#else
  static constexpr int kVectors = 1, kPixels = 4;  // 16 registers instead of 32
  static constexpr int kWeightVectors = 1, kColumns = 5;
#endif
  static constexpr int64_t kSteps = 255;

  struct Sum {
    int16x8_t low, high;  // 2 outputs each
  };

  static void clear(Sum& sum) { sum.low = sum.high = vdupq_n_s16(0); }

  static void multiply_add(Sum& sum, Bytes levels, Bytes signs) {
    sum.low = vmlal_s8(sum.low, vget_low_s8(levels), vget_low_s8(signs));
    sum.high = vmlal_s8(sum.high, vget_high_s8(levels), vget_high_s8(signs));
  }

  static Vector<4>::Int widened(const Sum& sum) {
    const int32x4_t low = vpaddlq_s16(sum.low), high = vpaddlq_s16(sum.high);
    return (Vector<4>::Int)vcombine_s32(vpadd_s32(vget_low_s32(low), vget_high_s32(low)),
                                        vpadd_s32(vget_low_s32(high), vget_high_s32(high)));
  }
};

constexpr Int8ConvKernel level_conv = Int8ConvKernel::of<LevelConv<Halves>>("neon levels", false);

}  // namespace

const TrainingKernels& training() {
  using Weight = WeightGradient<Halves>;
  static constexpr TrainingKernels table = {"neon",          range_of<4>,    levels_of,     {{&level_conv}},
                                            input_finish<4>, Halves::kLanes, Weight::quads, Weight::planes,
                                            Weight::run,     Weight::finish};
  return table;
}

}  // namespace onebit::neon
