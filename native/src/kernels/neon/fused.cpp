#include "kernels/vector/fused.h"

#include "kernels/neon/isa.h"
#include "kernels/neon/tables.h"
#include "kernels/vector/look_up_conv.h"

namespace onebit::neon {
namespace {

#ifdef __aarch64__
struct LookUp {
  using Bytes = int8x16_t;
  static constexpr int64_t kBytes = 16, kOutputs = 16;

  static Bytes zero() { return vdupq_n_s8(0); }
  static uint8x16_t load(const uint8_t* from) { return vld1q_u8(from); }
  static void add(Bytes& sum, const int8_t* table, uint8x16_t index) {
    sum = vaddq_s8(sum, vqtbl1q_s8(vld1q_s8(table), index));
  }

  static int64_t place(int64_t pixel) { return pixel; }

  static void widen(Bytes bytes, int16_t* sums) {
    vst1q_s16(sums, vmovl_s8(vget_low_s8(bytes)));
    vst1q_s16(sums + 8, vmovl_high_s8(bytes));
  }

  static void add_widened(Bytes bytes, int16_t* sums) {
    vst1q_s16(sums, vaddw_s8(vld1q_s16(sums), vget_low_s8(bytes)));
    vst1q_s16(sums + 8, vaddw_high_s8(vld1q_s16(sums + 8), bytes));
  }

  // 8 outputs by 8 pixels at once.
  static void write(const int16_t (&sums)[16][16], int16_t* y, int64_t channels) {
    for (int64_t half = 0; half < 16; half += 8) {
      for (int64_t first = 0; first < 16; first += 8) {
        int16x8_t a[8], b[8];
        for (int o = 0; o < 8; ++o) a[o] = vshlq_n_s16(vld1q_s16(sums[first + o] + half), 1);
        turn(a, b), turn(b, a), turn(a, b);
        for (int64_t p = 0; p < 8; ++p) vst1q_s16(y + (half + p) * channels + first, b[p]);
      }
    }
  }

 private:
  static void turn(const int16x8_t (&x)[8], int16x8_t (&y)[8]) {
    for (int i = 0; i < 4; ++i) {
      y[2 * i] = vzip1q_s16(x[i], x[i + 4]);
      y[2 * i + 1] = vzip2q_s16(x[i], x[i + 4]);
    }
  }
};

constexpr SignConvKernel convolve = LookUpConv<LookUp>::kernel();
#else
constexpr SignConvKernel convolve = {};
#endif

}  // namespace

const FusedKernels& fused() {
  static constexpr FusedKernels table = Fused<Widening<Neon>>::table("neon", convolve);
  return table;
}

}  // namespace onebit::neon
