// Plain loops, which the compiler may vectorise.
#include "kernels/vector/training.h"

#include "kernels/portable/tables.h"
#include "kernels/vector/level_conv.h"
#include "kernels/vector/weight_gradient.h"

namespace onebit::portable {
namespace {

// Levels less 128 are signed bytes, whose products with signs fit 16 bits 255 times.
struct Plain {
  static constexpr int kLanes = 4;
  static constexpr int kVectors = 1, kPixels = 4;         // input gradient
  static constexpr int kWeightVectors = 1, kColumns = 3;  // weight gradient
  static constexpr int32_t kCentre = 128;
  static constexpr int64_t kSteps = 255;

  typedef int8_t Bytes __attribute__((vector_size(16)));
  typedef int16_t Sum __attribute__((vector_size(32)));

  static Bytes vector(const void* from) { return load<Bytes>(static_cast<const uint8_t*>(from)); }

  static Bytes broadcast(const void* four) {
    Vector<4>::Int v = {};
    v += load<int32_t>(static_cast<const uint8_t*>(four));
    return (Bytes)v;
  }

  static Bytes centred(Bytes levels) { return levels ^ static_cast<int8_t>(-128); }
  static void clear(Sum& sum) { sum = Sum{}; }

  static void multiply_add(Sum& sum, Bytes levels, Bytes signs) {
    sum += __builtin_convertvector(levels, Sum) * __builtin_convertvector(signs, Sum);
  }

  static Vector<4>::Int widened(const Sum& sum) {
    Vector<4>::Int total;
    for (int i = 0; i < 4; ++i) total[i] = sum[4 * i] + sum[4 * i + 1] + sum[4 * i + 2] + sum[4 * i + 3];
    return total;
  }

  static void transpose(const uint8_t* from, int64_t step, uint8_t* to) {
    for (int64_t l = 0; l < 4; ++l)
      for (int64_t j = 0; j < 4; ++j) to[4 * l + j] = from[j * step + l];
  }
};

constexpr Int8ConvKernel level_conv = Int8ConvKernel::of<LevelConv<Plain>>("portable levels", false);

}  // namespace

const TrainingKernels& training() {
  using Weight = WeightGradient<Plain>;
  static constexpr TrainingKernels table = {"portable",      range_of<4>,   levels_of,     {{&level_conv}},
                                            input_finish<4>, Plain::kLanes, Weight::quads, Weight::planes,
                                            Weight::run,     Weight::finish};
  return table;
}

}  // namespace onebit::portable
