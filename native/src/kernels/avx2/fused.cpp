#include "kernels/vector/fused.h"

#include "kernels/avx2/isa.h"
#include "kernels/avx2/tables.h"
#include "kernels/vector/look_up_conv.h"

namespace onebit::avx2 {
namespace {

// In one instruction; GCC 12 makes two halves of the compiler's own conversion.
struct Wide : Avx2 {
  static Vector<8>::Int widen(Narrow<8>::Short v) { return (Vector<8>::Int)_mm256_cvtepi16_epi32((__m128i)v); }
  static Vector<8>::Unsigned widen(Narrow<8>::Half v) { return (Vector<8>::Unsigned)_mm256_cvtepu16_epi32((__m128i)v); }
  static Narrow<8>::Half narrow(Vector<8>::Unsigned v) {
    const auto wide = (__m256i)v;
    return (Narrow<8>::Half)_mm_packus_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
  }
};

struct LookUp {
  using Bytes = __m256i;
  static constexpr int64_t kBytes = 32, kOutputs = 8;

  static Bytes zero() { return _mm256_setzero_si256(); }
  static Bytes load(const void* from) { return _mm256_load_si256(static_cast<const __m256i*>(from)); }
  // In place: from the intrinsic GCC 12 makes a copy of each sum in each step.
  static void add(Bytes& sum, const int8_t* table, Bytes index) {
    __asm__("vpaddb %1, %0, %0" : "+x"(sum) : "x"(_mm256_shuffle_epi8(load(table), index)));
  }

  // The sums of 16 pixels' halves of 8 stand behind each other.
  static int64_t place(int64_t pixel) { return pixel % 16 / 8 * 16 + pixel / 16 * 8 + pixel % 8; }

  static void widen(Bytes bytes, int16_t* sums) {
    const __m256i sign = _mm256_cmpgt_epi8(zero(), bytes);
    auto* to = reinterpret_cast<__m256i*>(sums);
    _mm256_store_si256(to, _mm256_unpacklo_epi8(bytes, sign));
    _mm256_store_si256(to + 1, _mm256_unpackhi_epi8(bytes, sign));
  }

  static void add_widened(Bytes bytes, int16_t* sums) {
    const __m256i sign = _mm256_cmpgt_epi8(zero(), bytes);
    auto* to = reinterpret_cast<__m256i*>(sums);
    _mm256_store_si256(to, _mm256_add_epi16(_mm256_load_si256(to), _mm256_unpacklo_epi8(bytes, sign)));
    _mm256_store_si256(to + 1, _mm256_add_epi16(_mm256_load_si256(to + 1), _mm256_unpackhi_epi8(bytes, sign)));
  }

  // 8 outputs by 8 pixels in each half of a vector are turned at once.
  static void write(const int16_t (&sums)[8][32], int16_t* y, int64_t channels) {
    for (int64_t half = 0; half < 2; ++half) {
      __m256i a[8], b[8];
#pragma GCC unroll 8
      for (int o = 0; o < 8; ++o) a[o] = _mm256_slli_epi16(load(sums[o] + 16 * half), 1);
      turn(a, b), turn(b, a), turn(a, b);
#pragma GCC unroll 8
      for (int64_t p = 0; p < 8; ++p) {
        int16_t* to = y + (8 * half + p) * channels;
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(b[p]));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 16 * channels), _mm256_extracti128_si256(b[p], 1));
      }
    }
  }

 private:
  static void turn(const __m256i (&x)[8], __m256i (&y)[8]) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      y[2 * i] = _mm256_unpacklo_epi16(x[i], x[i + 4]);
      y[2 * i + 1] = _mm256_unpackhi_epi16(x[i], x[i + 4]);
    }
  }
};

}  // namespace

const FusedKernels& fused() {
  static constexpr FusedKernels table = Fused<Wide>::table("avx2", LookUpConv<LookUp>::kernel());
  return table;
}

}  // namespace onebit::avx2
