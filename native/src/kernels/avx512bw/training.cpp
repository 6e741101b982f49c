#include "kernels/vector/training.h"

#include "kernels/avx512bw/tables.h"
#include "kernels/avx512bw/training.h"
#include "kernels/vector/level_conv.h"
#include "kernels/vector/weight_gradient.h"

namespace onebit::avx512bw {
namespace {

// VPMADDUBSW: with signs its sums of two products are at most 2 * 255, so that 64 of them fit 16 bits. In place: GCC 12
// puts off additions until there are no registers for the products.
struct Pairs : Zmm {
  static constexpr int64_t kSteps = 64;

  static void multiply_add(Sum& sum, Bytes levels, Bytes signs) {
    __m512i products;
    __asm__("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0" : "+v"(sum), "=&v"(products) : "v"(levels), "v"(signs));
  }
  static Vector<16>::Int widened(Sum sum) { return (Vector<16>::Int)_mm512_madd_epi16(sum, _mm512_set1_epi16(1)); }
};

constexpr Int8ConvKernel level_conv = Int8ConvKernel::of<LevelConv<Pairs>>("avx512bw levels", false);

}  // namespace

const TrainingKernels& training() {
  using Weight = WeightGradient<Pairs>;
  static constexpr TrainingKernels table = {"avx512bw",       range_of<16>,  levels_of,     {{&level_conv}},
                                            input_finish<16>, Pairs::kLanes, Weight::quads, Weight::planes,
                                            Weight::run,      Weight::finish};
  return table;
}

}  // namespace onebit::avx512bw
