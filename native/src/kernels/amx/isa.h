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

  // 64 bits as bytes: 1 is -1, 0 is +1.
  static void expand(uint64_t bits, int8_t* to) {
    _mm512_storeu_si512(to, _mm512_mask_blend_epi8(bits, _mm512_set1_epi8(1), _mm512_set1_epi8(-1)));
  }
};

}  // namespace
}  // namespace onebit
