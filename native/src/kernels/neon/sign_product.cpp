#include "kernels/vector/sign_product.h"

#include <arm_neon.h>

#include "kernels/neon/tables.h"

namespace onebit::neon {
namespace {

// SMLAL: 8 columns of a term, in 16-bit sums.
struct Columns {
#ifdef __aarch64__
  static constexpr int kVectors = 4, kRows = 4;
#else
  static constexpr int kVectors = 2, kRows = 4;  // for 16 registers instead of 32
#endif
  static constexpr int kTerms = 4, kColumns = 8;
  static constexpr int64_t kVectorBytes = 32, kLeftBytes = 4;
  static constexpr int64_t kSteps = 32767 / (4 * 128);
  typedef int16x8_t Sums;

  static void expand(const uint32_t (&words)[4], uint8_t* to) { expand_terms(words, to); }

  static void spread(const int8_t* h, int64_t steps, uint8_t* to) {
    std::memcpy(to, h, static_cast<size_t>(4 * steps));
  }

  template <int V, int R>
  static void step(const uint8_t* left, int64_t row_bytes, const uint8_t* right, Sums (&sums)[R][V]) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      int8x8_t bits[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) bits[v] = vreinterpret_s8_u8(vld1_u8(right + 32 * v + 8 * k));
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const int8x8_t h = vreinterpret_s8_u8(vdup_n_u8(left[r * row_bytes + k]));
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sums[r][v] = vmlal_s8(sums[r][v], bits[v], h);
      }
    }
  }

  static void widen(Sums sums, int32_t* totals) {
    vst1q_s32(totals, vaddw_s16(vld1q_s32(totals), vget_low_s16(sums)));
    vst1q_s32(totals + 4, vaddw_s16(vld1q_s32(totals + 4), vget_high_s16(sums)));
  }
};

}  // namespace

const SignKernels& signs() {
  static constexpr SignKernels table = SignProduct<Columns>::table("neon columns");
  return table;
}

}  // namespace onebit::neon
