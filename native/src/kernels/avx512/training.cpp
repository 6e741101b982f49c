#include "kernels/vector/training.h"

#include "kernels/avx512/isa.h"
#include "kernels/vector/weight_gradient.h"

namespace onebit {
namespace {

constexpr __mmask16 kAll = 0xffff;  // GCC 12 warns about some intrinsics without a mask

int32_t lanes(__m512i v) {
  v = _mm512_add_epi32(v, _mm512_maskz_shuffle_i32x4(kAll, v, v, 0x4e));
  v = _mm512_add_epi32(v, _mm512_maskz_shuffle_i32x4(kAll, v, v, 0xb1));
  v = _mm512_add_epi32(v, _mm512_maskz_shuffle_epi32(kAll, v, _MM_PERM_BADC));
  v = _mm512_add_epi32(v, _mm512_maskz_shuffle_epi32(kAll, v, _MM_PERM_CDAB));
  return _mm512_cvtsi512_si32(v);
}

// The sums of the lanes of 16 vectors, by adding up interleaved pairs; that of vector kLane[i] comes out in lane i.
constexpr int kLane[16] = {0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15};

__m512i lanes(const __m512i (&v)[16]) {
  __m512i a[8], b[4], c[2];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i)
    a[i] = _mm512_add_epi32(_mm512_maskz_unpacklo_epi32(kAll, v[i], v[i + 8]),
                            _mm512_maskz_unpackhi_epi32(kAll, v[i], v[i + 8]));
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i)
    b[i] = _mm512_add_epi32(_mm512_maskz_unpacklo_epi32(kAll, a[i], a[i + 4]),
                            _mm512_maskz_unpackhi_epi32(kAll, a[i], a[i + 4]));
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i)
    c[i] = _mm512_add_epi32(_mm512_maskz_shuffle_i32x4(kAll, b[i], b[i + 2], 0x88),
                            _mm512_maskz_shuffle_i32x4(kAll, b[i], b[i + 2], 0xdd));
  return _mm512_add_epi32(_mm512_maskz_shuffle_i32x4(kAll, c[0], c[1], 0x88),
                          _mm512_maskz_shuffle_i32x4(kAll, c[0], c[1], 0xdd));
}

template <int Count>
void add_up(const __m512i* vectors, int32_t* sums) {
  constexpr int kWhole = Count / 16 * 16;
#pragma GCC unroll 2
  for (int first = 0; first < kWhole; first += 16) {
    __m512i v[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) v[kLane[i]] = vectors[first + i];
    _mm512_storeu_si512(sums + first, lanes(v));
  }
#pragma GCC unroll 16
  for (int i = kWhole; i < Count; ++i) sums[i] = lanes(vectors[i]);
}

// In place: from the intrinsic GCC 12 makes a copy of each accumulator in each step.
inline void multiply_add(__m512i& sum, __m512i levels, __m512i signs) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(levels), "v"(signs));
}

// VPDPBUSD: 64 products, each of a sample; the lanes are added up at the end.
struct Vnni {
  template <int C, int KH, int KW>
  static void product(const WeightGradientArgs& a, const Planes& planes, int32_t (&sums)[C][KH * KW]) {
    constexpr int T = KH * KW;
    __m512i sum[C][T];
#pragma GCC unroll 2
    for (int c = 0; c < C; ++c) {
#pragma GCC unroll 9
      for (int t = 0; t < T; ++t) sum[c][t] = _mm512_setzero_si512();
    }
    const int64_t pitch = a.in_w * kSamples, step = a.stride_w * kSamples;
    for (int64_t y = 0; y < a.out_h; ++y) {
      const uint8_t* gradient = planes.gradient + y * a.out_w * kSamples;
      const int8_t* input = planes.input + y * a.stride_h * pitch;
      for (int64_t x = 0; x < a.out_w; ++x, gradient += kSamples, input += step) {
        __m512i g[C];
#pragma GCC unroll 2
        for (int c = 0; c < C; ++c) g[c] = _mm512_load_si512(gradient + c * planes.gradient_plane);
#pragma GCC unroll 9
        for (int t = 0; t < T; ++t) {
          const __m512i signs = _mm512_load_si512(input + t / KW * pitch + t % KW * kSamples);
#pragma GCC unroll 2
          for (int c = 0; c < C; ++c) multiply_add(sum[c][t], g[c], signs);
        }
      }
    }
    __m512i all[C * T];
#pragma GCC unroll 2
    for (int c = 0; c < C; ++c) {
#pragma GCC unroll 9
      for (int t = 0; t < T; ++t) all[c * T + t] = sum[c][t];
    }
    add_up<C * T>(all, &sums[0][0]);
  }
};

__mmask64 first(int64_t count) { return count >= 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1; }

// 16 samples by 64 channels: after four rounds of interleaving, lane l of row j holds the samples of channel 16 l + j.
void gather_16(const uint8_t* from, int64_t from_step, int64_t samples, int64_t channels, uint8_t* to,
               int64_t to_step) {
  __m512i a[16], b[16];
  for (int64_t n = 0; n < 16; ++n)
    a[n] = n < samples ? _mm512_maskz_loadu_epi8(first(channels), from + n * from_step) : _mm512_setzero_si512();
  // Interleaves row n with row n + 8 into rows 2n and 2n + 1, byte by byte.
  const auto round = [](const __m512i(&x)[16], __m512i(&y)[16]) {
#pragma GCC unroll 8
    for (int n = 0; n < 8; ++n) {
      y[2 * n] = _mm512_unpacklo_epi8(x[n], x[n + 8]);
      y[2 * n + 1] = _mm512_unpackhi_epi8(x[n], x[n + 8]);
    }
  };
  round(a, b), round(b, a), round(a, b), round(b, a);
  for (int64_t lane = 0; 16 * lane < channels; ++lane) {
    for (int64_t j = 0; j < 16 && 16 * lane + j < channels; ++j) {
      std::memcpy(to + (16 * lane + j) * to_step, reinterpret_cast<const uint8_t*>(&a[j]) + 16 * lane, 16);
    }
  }
}

void gather(const uint8_t* from, int64_t from_step, int64_t samples, int64_t channels, uint8_t* to, int64_t to_step) {
  for (int64_t c = 0; c < channels; c += 64) {
    for (int64_t n = 0; n < kSamples; n += 16)
      gather_16(from + n * from_step + c, from_step, samples - n, channels - c < 64 ? channels - c : 64,
                to + c * to_step + n, to_step);
  }
}

void expand(const uint32_t* words, int64_t bits, int8_t* to, int64_t to_step) {
  __m512i word[4];
  for (int i = 0; i < 4; ++i) word[i] = _mm512_loadu_si512(words + 16 * i);
  const __m512i plus = _mm512_set1_epi8(1), minus = _mm512_set1_epi8(-1);
  for (int64_t bit = 0; bit < bits; ++bit, to += to_step) {
    const __m512i probe = _mm512_set1_epi32(static_cast<int32_t>(1u << bit));
    const __mmask32 low =
        _mm512_kunpackw(_mm512_test_epi32_mask(word[1], probe), _mm512_test_epi32_mask(word[0], probe));
    const __mmask32 high =
        _mm512_kunpackw(_mm512_test_epi32_mask(word[3], probe), _mm512_test_epi32_mask(word[2], probe));
    _mm512_storeu_si512(to, _mm512_mask_blend_epi8(_mm512_kunpackd(high, low), plus, minus));
  }
}

}  // namespace

const TrainingKernels& avx512_training() {
  static constexpr TrainingKernels table = {"avx512", range_of<16>, levels_of,
                                            gather,   expand,       WeightGradient<Vnni>::run};
  return table;
}

}  // namespace onebit
