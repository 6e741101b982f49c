#include "kernels/vector/training.h"

#include "kernels/avx512/tables.h"
#include "kernels/avx512bw/training.h"
#include "kernels/vector/level_conv.h"
#include "kernels/vector/weight_gradient.h"

namespace onebit::avx512 {
namespace {

// VPDPBUSD, in place: from the intrinsic GCC 12 makes a copy of each sum in each step.
struct Vnni : Zmm {
  static constexpr int64_t kSteps = INT64_MAX;

  static void multiply_add(Sum& sum, Bytes levels, Bytes signs) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(levels), "v"(signs));
  }
  static Vector<16>::Int widened(Sum sum) { return (Vector<16>::Int)sum; }
};

constexpr Int8ConvKernel level_conv = Int8ConvKernel::of<LevelConv<Vnni>>("avx512 levels", false);

}  // namespace

const TrainingKernels& training() {
  using Weight = WeightGradient<Vnni>;
  static constexpr TrainingKernels table = {"avx512",         range_of<16>,  levels_of,     {{&level_conv}},
                                            input_finish<16>, Vnni::kLanes,  Weight::quads, Weight::planes,
                                            Weight::run,      Weight::finish};
  return table;
}

}  // namespace onebit::avx512
