// One call of a kernel in plain data: what a plan is made of, in memory or in a device's flash.
//
// This folder needs no heap, no files, no threads and no exceptions: it is the whole run path of a device without an
// operating system.
#pragma once

#include "kernels/kernels.h"

namespace onebit {

// What an address is relative to. `scratch` is the running thread's own.
enum class Base : uint32_t { nowhere = 0, arena = 1, scratch = 2, weights = 3, file = 4, input = 5 };

struct Address {
  Base base = Base::nowhere;
  uint32_t unused = 0;
  uint64_t offset = 0;
};

struct Bases {
  uint8_t* arena;
  uint8_t* scratch;
  const uint8_t* weights;
  const uint8_t* file;
  const uint8_t* input;
};

enum class StepKind : uint32_t {
  float_conv = 0,
  binary_conv = 1,
  int8_conv = 2,
  quantize = 3,
  binarize = 4,
  pointwise = 5,
  max_pool = 6,
  average_pool = 7,
  pad_channels = 8
};

// Fields that a step does not use are nowhere or 0. Fixed-width fields only, so that it has one layout everywhere.
struct Step {
  StepKind kind;
  uint32_t node;    // its index in the model
  ConvShape shape;  // per sample; every kind has the sides, windows the rest
  int32_t pad_bottom, pad_right;
  Activation activation;
  int32_t pad_value;        // a binary convolution's
  int32_t zero_point;       // quantize's
  float multiplier;         // quantize's
  int32_t count_padding;    // an average pool's
  int32_t channels_before;  // pad_channels's
  // Above 0: the step is run together with the next one, a pool, in blocks of so many rows of the pool's output; its
  // own output is then in scratch and never whole.
  int32_t block_rows;
  int32_t kernel;  // a convolution's: its place in the table's list
  Address input, residual, weight, scale, bias, slope, post;
  Address interval;       // integers for a binary convolution that writes bits alone; floats for binarize
  Address output;         // floats, or the bytes of quantize
  Address bits;           // bits, alone or beside output
  Address bits_interval;  // for bits beside output
};

// Where an address points; null if nowhere.
template <class Element>
const Element* read(const Address& address, const Bases& bases) noexcept {
  const uint8_t* const pointers[] = {nullptr, bases.arena, bases.scratch, bases.weights, bases.file, bases.input};
  if (address.base == Base::nowhere) return nullptr;
  return reinterpret_cast<const Element*>(pointers[static_cast<uint32_t>(address.base)] + address.offset);
}

// Rows of a convolution that a row block of the pool behind it can need at most: what scratch has to hold.
int64_t block_conv_rows(const Step& pool, int32_t block_rows) noexcept;

// Into how many parts a step (with the next one, if it has row blocks) can be split.
int64_t step_units(const Step* step, const Kernels& kernels, int32_t batch) noexcept;

// Runs parts [begin, end).
void run_step(const Step* step, const Kernels& kernels, const Bases& bases, int32_t batch, int64_t begin,
              int64_t end) noexcept;

}  // namespace onebit
