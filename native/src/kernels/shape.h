// Arithmetic on shapes that every instruction set shares. Everything is in an unnamed namespace: the folders are
// compiled with different flags, and a function merged across them could run instructions that the CPU lacks.
#pragma once

#include "kernels/kernels.h"

namespace onebit {
namespace {

inline int64_t words_of(int64_t channels) { return (channels + 31) / 32; }

inline int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

inline int64_t taps_of(const ConvShape& s) { return static_cast<int64_t>(s.kernel_h) * s.kernel_w; }

inline int64_t inputs_of(const ConvShape& s) { return static_cast<int64_t>(s.in_h) * s.in_w; }  // pixels of a sample
inline int64_t outputs_of(const ConvShape& s) { return static_cast<int64_t>(s.out_h) * s.out_w; }

inline int64_t rows_of(const ConvShape& s) { return static_cast<int64_t>(s.batch) * s.out_h; }

inline bool inside(int64_t y, int64_t x, int64_t height, int64_t width) {
  return y >= 0 && y < height && x >= 0 && x < width;
}

inline uint32_t popcount(uint32_t x) {
  x = x - ((x >> 1) & 0x55555555u);
  x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
  return ((x + (x >> 4)) & 0x0f0f0f0fu) * 0x01010101u >> 24;
}

}  // namespace
}  // namespace onebit
