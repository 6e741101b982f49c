#include "kernels/vector/fused.h"

#include "kernels/avx512/isa.h"
#include "kernels/avx512bw/tables.h"
#include "kernels/vector/look_up_conv.h"

namespace onebit::avx512bw {
namespace {

// In one instruction; GCC 12 makes two halves of the compiler's own conversion. (It warns about these without a mask.)
struct Wide : Avx512 {
  static Vector<16>::Int widen(Narrow<16>::Short v) {
    return (Vector<16>::Int)_mm512_maskz_cvtepi16_epi32(0xffff, (__m256i)v);
  }
  static Vector<16>::Unsigned widen(Narrow<16>::Half v) {
    return (Vector<16>::Unsigned)_mm512_maskz_cvtepu16_epi32(0xffff, (__m256i)v);
  }
  static Narrow<16>::Half narrow(Vector<16>::Unsigned v) {
    return (Narrow<16>::Half)_mm512_maskz_cvtepi32_epi16(0xffff, (__m512i)v);
  }
};

struct LookUp {
  using Bytes = __m512i;
  static constexpr int64_t kBytes = 64, kOutputs = 16;

  static Bytes zero() { return _mm512_setzero_si512(); }
  static Bytes load(const void* from) { return _mm512_load_si512(from); }
  // In place: from the intrinsic GCC 12 makes a copy of each sum in each step.
  static void add(Bytes& sum, const int8_t* table, Bytes index) {
    __asm__("vpaddb %1, %0, %0" : "+v"(sum) : "v"(_mm512_shuffle_epi8(load(table), index)));
  }

  // The sums of 16 pixels' halves of 8 stand behind each other.
  static int64_t place(int64_t pixel) { return pixel % 16 / 8 * 32 + pixel / 16 * 8 + pixel % 8; }

  static void widen(Bytes bytes, int16_t* sums) {
    const __m512i sign = _mm512_movm_epi8(_mm512_movepi8_mask(bytes));
    _mm512_store_si512(sums, _mm512_unpacklo_epi8(bytes, sign));
    _mm512_store_si512(sums + 32, _mm512_unpackhi_epi8(bytes, sign));
  }

  static void add_widened(Bytes bytes, int16_t* sums) {
    const __m512i sign = _mm512_movm_epi8(_mm512_movepi8_mask(bytes));
    _mm512_store_si512(sums, _mm512_add_epi16(load(sums), _mm512_unpacklo_epi8(bytes, sign)));
    _mm512_store_si512(sums + 32, _mm512_add_epi16(load(sums + 32), _mm512_unpackhi_epi8(bytes, sign)));
  }

  // 8 outputs by 8 pixels in each quarter of a vector are turned at once.
  static void write(const int16_t (&sums)[16][64], int16_t* y, int64_t channels) {
    for (int64_t half = 0; half < 2; ++half) {
      for (int64_t first = 0; first < 16; first += 8) {
        __m512i a[8], b[8];
#pragma GCC unroll 8
        for (int o = 0; o < 8; ++o) a[o] = _mm512_slli_epi16(load(sums[first + o] + 32 * half), 1);
        turn(a, b), turn(b, a), turn(a, b);
#pragma GCC unroll 8
        for (int64_t p = 0; p < 8; ++p) {
          int16_t* to = y + (8 * half + p) * channels + first;
          store<0>(to, b[p]);
          store<1>(to + 16 * channels, b[p]);
          store<2>(to + 32 * channels, b[p]);
          store<3>(to + 48 * channels, b[p]);
        }
      }
    }
  }

 private:
  template <int Quarter>
  static void store(int16_t* to, __m512i v) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_maskz_extracti32x4_epi32(0xf, v, Quarter));
  }

  static void turn(const __m512i (&x)[8], __m512i (&y)[8]) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      y[2 * i] = _mm512_unpacklo_epi16(x[i], x[i + 4]);
      y[2 * i + 1] = _mm512_unpackhi_epi16(x[i], x[i + 4]);
    }
  }
};

}  // namespace

const FusedKernels& fused() {
  static constexpr FusedKernels table = Fused<Wide>::table("avx512bw", LookUpConv<LookUp>::kernel());
  return table;
}

}  // namespace onebit::avx512bw
