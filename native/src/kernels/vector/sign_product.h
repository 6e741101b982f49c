// The loops around a product of bytes by signs, which the instruction sets share. Isa::step adds a step of R rows to
// V vectors of 16-bit sums per row, over bits of 0 or 1; a sum by signs is that of h less twice that. After kSteps steps
// the sums might overflow: they are added to 32 bits.
#pragma once

#include <cstring>

#include "kernels/shape.h"
#include "kernels/sign_product.h"

namespace onebit {
namespace {

template <class Isa>
class SignProduct {
 public:
  static void pack(const SignPackArgs& args) {
    const int64_t all = vectors_of(args.columns), steps = (args.terms + kTerms - 1) / kTerms;
    for (int64_t step = 0; step < steps; ++step) {
      const int64_t first = step * kTerms, last = min(first + kTerms, args.terms);
      for (int64_t column = 0; column < args.columns; column += 32) {
        uint32_t group[kTerms] = {};
        for (int64_t k = first; k < last; ++k) group[k - first] = args.words[k * args.word_step + column / 32];
        alignas(64) uint8_t vectors[32 / kColumns][kBytes];
        Isa::expand(group, vectors[0]);
        for (int64_t j = 0, v = column / kColumns; j < 32 / kColumns && v < all; ++j, ++v) {
          const int64_t block = v / kVectors, width = min(all - block * kVectors, kVectors);
          uint8_t* to = args.blocks + block * args.block_step;
          std::memcpy(to + ((args.segment * steps + step) * width + v % kVectors) * kBytes, vectors[j], kBytes);
        }
      }
    }
  }

  static void run(const SignProductArgs& args) { widths<kVectors>(args); }

  static constexpr SignKernels table(const char* name) {
    return {name, kTerms, kVectors * kColumns, Isa::kLeftBytes, kVectors * kBytes, Isa::kRows, pack, Isa::spread, run};
  }

 private:
  static constexpr int64_t kTerms = Isa::kTerms, kColumns = Isa::kColumns, kBytes = Isa::kVectorBytes;
  static constexpr int kVectors = Isa::kVectors, kRows = Isa::kRows;
  using Sums = typename Isa::Sums;

  static int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
  static int64_t vectors_of(int64_t columns) { return (columns + kColumns - 1) / kColumns; }

  template <int V>
  static void widths(const SignProductArgs& args) {
    if constexpr (V > 1) {
      if (vectors_of(args.columns) < V) return widths<V - 1>(args);
    }
    int64_t row = 0;
    for (; row + kRows <= args.rows; row += kRows) tile<V, kRows>(args, row);
    for (; row < args.rows; ++row) tile<V, 1>(args, row);
  }

  template <int V, int R>
  static void tile(const SignProductArgs& args, int64_t row) {
    const int64_t segment = args.steps * Isa::kLeftBytes, row_bytes = args.segments * segment;
    const uint8_t* left = args.left + row * row_bytes;
    alignas(64) int32_t totals[R][V * kColumns] = {};
    int32_t sum_of_h[R] = {};
    Sums sums[R][V] = {};
    int64_t room = Isa::kSteps;
    for (int64_t pair = 0; pair < args.count; ++pair) {
      const SignPair at = args.pairs[pair];
      const uint8_t *rows = left + at.left * segment, *right = args.right + at.right * args.steps * V * kBytes;
      for (int r = 0; r < R; ++r) sum_of_h[r] += args.left_sums[(row + r) * args.segments + at.left];
      for (int64_t steps = args.steps; steps > 0;) {
        const int64_t some = min(steps, room);
        for (int64_t i = 0; i < some; ++i, rows += Isa::kLeftBytes, right += V * kBytes)
          Isa::template step<V, R>(rows, row_bytes, right, sums);
        steps -= some;
        room -= some;
        if (room == 0) {
          widen<V, R>(sums, totals);
          room = Isa::kSteps;
        }
      }
    }
    widen<V, R>(sums, totals);
    for (int r = 0; r < R; ++r) {
      int32_t* to = args.output + (row + r) * args.output_step;
      for (int64_t c = 0; c < args.columns; ++c) to[c] = sum_of_h[r] - 2 * totals[r][c];
    }
  }

  template <int V, int R>
  static void widen(Sums (&sums)[R][V], int32_t (&totals)[R][V * kColumns]) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) {
        Isa::widen(sums[r][v], totals[r] + v * kColumns);
        sums[r][v] = Sums{};
      }
    }
  }
};

// Bytes of 0 or 1, [8 columns][term] in each of four vectors.
template <int Terms>
inline void expand_columns(const uint32_t (&words)[Terms], uint8_t* to) {
  for (int column = 0; column < 32; ++column)
    for (int k = 0; k < Terms; ++k) *to++ = static_cast<uint8_t>(words[k] >> column & 1u);
}

// The same as [term][8 columns].
template <int Terms>
inline void expand_terms(const uint32_t (&words)[Terms], uint8_t* to) {
  for (int vector = 0; vector < 4; ++vector)
    for (int k = 0; k < Terms; ++k)
      for (int column = 0; column < 8; ++column) *to++ = static_cast<uint8_t>(words[k] >> (8 * vector + column) & 1u);
}

}  // namespace
}  // namespace onebit
