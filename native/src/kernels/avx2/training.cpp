#include "kernels/vector/training.h"

#include <immintrin.h>

#include "kernels/avx2/tables.h"
#include "kernels/vector/level_conv.h"
#include "kernels/vector/weight_gradient.h"

namespace onebit::avx2 {
namespace {

// VPMADDUBSW: with signs its sums of two products are at most 2 * 255, so that 64 of them fit 16 bits. In place: GCC 12
// puts off additions until there are no registers for the products.
struct Pairs {
  static constexpr int kLanes = 8;
  static constexpr int kVectors = 2, kPixels = 4;         // input gradient
  static constexpr int kWeightVectors = 2, kColumns = 5;  // weight gradient
  static constexpr int32_t kCentre = 0;
  static constexpr int64_t kSteps = 64;
  using Bytes = __m256i;
  using Sum = __m256i;

  static Bytes vector(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
  static Bytes broadcast(const void* four) {
    return _mm256_set1_epi32(load<int32_t>(static_cast<const uint8_t*>(four)));
  }
  static Bytes centred(Bytes levels) { return levels; }
  static void clear(Sum& sum) { sum = _mm256_setzero_si256(); }

  static void multiply_add(Sum& sum, Bytes levels, Bytes signs) {
    __m256i products;
    __asm__("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(levels), "x"(signs));
  }

  static Vector<8>::Int widened(Sum sum) { return (Vector<8>::Int)_mm256_madd_epi16(sum, _mm256_set1_epi16(1)); }

  // 4 pixels of 8 channels, `step` bytes apart, to 8 channels of 4 pixels.
  static void transpose(const uint8_t* from, int64_t step, uint8_t* to) {
    const auto row = [&](int64_t j) { return load<int64_t>(from + j * step); };
    const __m256i v = _mm256_setr_epi64x(row(0), row(1), row(2), row(3));
    const __m256i quads = _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
    const __m256i bytes = _mm256_setr_epi32(0x0c080400, 0x0d090501, 0x0e0a0602, 0x0f0b0703, 0x0c080400, 0x0d090501,
                                            0x0e0a0602, 0x0f0b0703);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_shuffle_epi8(quads, bytes));
  }
};

constexpr Int8ConvKernel level_conv = Int8ConvKernel::of<LevelConv<Pairs>>("avx2 levels", false);

}  // namespace

const TrainingKernels& training() {
  using Weight = WeightGradient<Pairs>;
  static constexpr TrainingKernels table = {"avx2",          range_of<8>,   levels_of,     {{&level_conv}},
                                            input_finish<8>, Pairs::kLanes, Weight::quads, Weight::planes,
                                            Weight::run,     Weight::finish};
  return table;
}

}  // namespace onebit::avx2
