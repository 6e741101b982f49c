#include "kernels/vector/training.h"

#include "kernels/neon/training.h"
#include "kernels/neon_dotprod/tables.h"
#include "kernels/vector/level_conv.h"
#include "kernels/vector/weight_gradient.h"

namespace onebit::neon_dotprod {
namespace {

// SDOT: the 4 products of an output at once, to 32 bits.
struct Dots : NeonLevels {
  static constexpr int kVectors = 2, kPixels = 8;         // input gradient
  static constexpr int kWeightVectors = 2, kColumns = 9;  // weight gradient
  static constexpr int64_t kSteps = INT64_MAX;
  using Sum = int32x4_t;

  static void clear(Sum& sum) { sum = vdupq_n_s32(0); }
  static void multiply_add(Sum& sum, Bytes levels, Bytes signs) { sum = vdotq_s32(sum, levels, signs); }
  static Vector<4>::Int widened(Sum sum) { return (Vector<4>::Int)sum; }
};

constexpr Int8ConvKernel level_conv = Int8ConvKernel::of<LevelConv<Dots>>("neon_dotprod levels", false);

}  // namespace

const TrainingKernels& training() {
  using Weight = WeightGradient<Dots>;
  static constexpr TrainingKernels table = {"neon_dotprod",  range_of<4>,   levels_of,     {{&level_conv}},
                                            input_finish<4>, Dots::kLanes,  Weight::quads, Weight::planes,
                                            Weight::run,     Weight::finish};
  return table;
}

}  // namespace onebit::neon_dotprod
