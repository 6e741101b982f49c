// Products of signed bytes by signs, the backward half of the teachable tail (docs/learner.md):
//
//   output[row][column] = sum over the terms k of h[row][k] * (1 - 2 bit[k][column]),   -128 <= h <= 127
//
// Terms come in segments, such as the channels of a pixel; a sum is taken over pairs of a row segment and a column
// segment, so that padding costs nothing. Terms go in steps of a few; the last step of a segment is filled up with an
// h of 0. All sets give the same integers. Kernels neither allocate nor throw.
#pragma once

#include <cstdint>

namespace onebit {

struct SignPair {
  int32_t left, right;  // segments of the rows and of the columns
};

// Packs the bits of one segment, [term][words of the columns], to its place in every block.
struct SignPackArgs {
  int64_t segment, terms, columns;
  const uint32_t* words;
  int64_t word_step;  // from a term to the next
  uint8_t* blocks;
  int64_t block_step;  // bytes
};

// Sums of some rows in one block of columns.
struct SignProductArgs {
  int64_t rows, columns;
  int64_t steps;             // per segment
  const uint8_t* left;       // as spread() wrote it, [row][segment][step]
  const int32_t* left_sums;  // sums of h, [row][segment]
  int64_t segments;          // per row
  const uint8_t* right;      // as pack() wrote it, [segment][step]
  const SignPair* pairs;
  int64_t count;  // number of pairs
  int32_t* output;
  int64_t output_step;  // from a row to the next
};

struct SignKernels {
  const char* name;
  int64_t terms;        // per step
  int64_t columns;      // per block; the last one may be narrower
  int64_t left_bytes;   // per step of a row
  int64_t right_bytes;  // per step of a block
  int64_t rows;         // run() is best with so many, or a multiple
  void (*pack)(const SignPackArgs&);
  // Writes the terms of a row.
  void (*spread)(const int8_t* h, int64_t steps, uint8_t* to);
  void (*run)(const SignProductArgs&);
};

}  // namespace onebit
