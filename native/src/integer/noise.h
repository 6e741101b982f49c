// Noise of stochastic rounding. Unnamed, because a function merged across instruction sets' folders could run
// instructions that the CPU lacks.
#pragma once

#include <cstdint>

namespace onebit {
namespace {

// noise16(key, i + 1) is noise16(key + kNoiseStep, i).
constexpr uint32_t kNoiseStep = 0x9E3779B9u;

// 16 random bits for entry `index` under `key`, in any order of entries (a 32-bit finaliser of the murmur family).
inline uint32_t noise16(uint32_t key, uint32_t index) {
  uint32_t x = key + index * kNoiseStep;
  x ^= x >> 16;
  x *= 0x7FEB352Du;
  x ^= x >> 15;
  x *= 0x846CA68Bu;
  return x >> 16;
}

}  // namespace
}  // namespace onebit
