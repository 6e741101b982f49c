// Tiles of bytes (AMX-INT8), beside AVX-512.
#pragma once

#include "kernels/avx512/isa.h"

namespace onebit {
namespace {

// Written out in assembly: the compilers' intrinsics take a tile's number as a digit of the source only.
struct Amx : Avx512 {
  // Eight tiles of 16 rows of 64 bytes. Each thread has a configuration of its own.
  static void configure() {
    struct {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } const config;
    static_assert(sizeof(config) == 64, "what LDTILECFG reads");
    __asm__ volatile("ldtilecfg %0" ::"m"(config));
  }

  static void release() { __asm__ volatile("tilerelease" ::: "memory"); }

  template <int Tile>
  static void zero() {
    __asm__ volatile("tilezero %%tmm%c0" ::"i"(Tile));
  }

  // 16 rows of 64 bytes, `stride` bytes apart.
  template <int Tile>
  static void read(const void* from, int64_t stride) {
    __asm__ volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(Tile), "r"(from), "r"(stride) : "memory");
  }

  template <int Tile>
  static void write(void* to, int64_t stride) {
    __asm__ volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(Tile), "r"(to), "r"(stride) : "memory");
  }

  // Sum[m][n] += the products of A[m][4 k + j] and B[k][4 n + j], over k and j.
  template <int Sum, int A, int B>
  static void multiply() {
    __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(Sum), "i"(A), "i"(B));
  }

  // The same with A's bytes unsigned.
  template <int Sum, int A, int B>
  static void multiply_unsigned() {
    __asm__ volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(Sum), "i"(A), "i"(B));
  }

  // 64 bits as bytes: 1 is -1, 0 is +1.
  static void expand(uint64_t bits, int8_t* to) {
    _mm512_storeu_si512(to, _mm512_mask_blend_epi8(bits, _mm512_set1_epi8(1), _mm512_set1_epi8(-1)));
  }

  // Writes `rows` rows of 64 bytes, `to_step` apart. Byte i of a row is the byte i behind the offset of the piece whose
  // mask has bit i, or 0. Each row is read `from_step` behind the one before.
  static void gather(const uint8_t* from, int64_t from_step, int64_t pieces, const uint64_t* masks,
                     const int64_t* offsets, int64_t rows, int8_t* to, int64_t to_step) {
    switch (pieces) {
      case 1: return gather_pieces<1>(from, from_step, masks, offsets, rows, to, to_step);
      case 2: return gather_pieces<2>(from, from_step, masks, offsets, rows, to, to_step);
      case 3: return gather_pieces<3>(from, from_step, masks, offsets, rows, to, to_step);
      case 4: return gather_pieces<4>(from, from_step, masks, offsets, rows, to, to_step);
    }
    for (int64_t row = 0; row < rows; ++row, from += from_step, to += to_step) {
      __m512i bytes = _mm512_setzero_si512();
      for (int64_t i = 0; i < pieces; ++i) bytes = _mm512_mask_loadu_epi8(bytes, masks[i], from + offsets[i]);
      _mm512_storeu_si512(to, bytes);
    }
  }

 private:
  template <int Pieces>
  static void gather_pieces(const uint8_t* from, int64_t from_step, const uint64_t* masks, const int64_t* offsets,
                            int64_t rows, int8_t* to, int64_t to_step) {
    for (int64_t row = 0; row < rows; ++row, from += from_step, to += to_step) {
      __m512i bytes = _mm512_setzero_si512();
#pragma GCC unroll 4
      for (int i = 0; i < Pieces; ++i) bytes = _mm512_mask_loadu_epi8(bytes, masks[i], from + offsets[i]);
      _mm512_storeu_si512(to, bytes);
    }
  }
};

}  // namespace
}  // namespace onebit
