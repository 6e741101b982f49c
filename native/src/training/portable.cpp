// The kernels of training for any CPU: plain loops, which the compiler may make vectors of. Not in kernels/portable,
// which is the whole of a microcontroller's kernels.
#include "kernels/vector/training.h"
#include "kernels/vector/weight_gradient.h"

namespace onebit {
namespace {

struct Plain {
  template <int C, int KH, int KW>
  static void product(const WeightGradientArgs& a, const Planes& planes, int32_t (&sums)[C][KH * KW]) {
    for (int c = 0; c < C; ++c) {
      for (int t = 0; t < KH * KW; ++t) {
        int32_t sum = 0;
        for (int64_t y = 0; y < a.out_h; ++y) {
          const uint8_t* gradient = planes.gradient + c * planes.gradient_plane + y * a.out_w * kSamples;
          const int8_t* input = planes.input + ((y * a.stride_h + t / KW) * a.in_w + t % KW) * kSamples;
          for (int64_t x = 0; x < a.out_w; ++x, gradient += kSamples, input += a.stride_w * kSamples) {
            for (int64_t n = 0; n < kSamples; ++n) sum += gradient[n] * input[n];
          }
        }
        sums[c][t] = sum;
      }
    }
  }
};

void gather(const uint8_t* from, int64_t from_step, int64_t samples, int64_t channels, uint8_t* to, int64_t to_step) {
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t n = 0; n < kSamples; ++n) to[c * to_step + n] = n < samples ? from[n * from_step + c] : uint8_t{0};
  }
}

void expand(const uint32_t* words, int64_t bits, int8_t* to, int64_t to_step) {
  for (int64_t bit = 0; bit < bits; ++bit) {
    for (int64_t i = 0; i < kSamples; ++i)
      to[bit * to_step + i] = static_cast<int8_t>(1 - 2 * static_cast<int32_t>(words[i] >> bit & 1u));
  }
}

}  // namespace

const TrainingKernels& portable_training() {
  static constexpr TrainingKernels table = {"portable", range_of<4>, levels_of,
                                            gather,     expand,      WeightGradient<Plain>::run};
  return table;
}

}  // namespace onebit
