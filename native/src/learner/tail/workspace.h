// What the layers of a tail share while it works: their values and gradients, threads, and the memory that one layer
// takes at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/scratch.h"
#include "base/thread_pool.h"
#include "gradient/byte_products.h"
#include "gradient/sign_products.h"
#include "kernels/registry.h"
#include "learner/tail/gradients.h"
#include "learner/tail/tail.h"

namespace onebit::learner {

struct Workspace {
  Workspace(const Tail& the_tail, const Isa& isa, uint32_t samples, bool trains, int thread_count)
      : tail(the_tail),
        kernels(isa.kernels()),
        tail_kernels(isa.tail()),
        batch(samples),
        training(trains),
        threads(thread_count),
        pool(thread_count),
        codes(the_tail.values.size()),
        gradients(the_tail, tail_kernels, pool),
        sign_products(isa.signs()),
        byte_products(tail_kernels) {
    for (size_t i = 0; i < codes.size(); ++i) codes[i].at_least(batch * tail.values[i].elements());
    if (training) gradients.reserve(batch);
  }

  // why: what a convolution over so many samples has that its products cannot take, or null. Throws Error if there is
  // such a thing.
  void check_batch(const char* why) const {
    if (why)
      throw Error(ONEBIT_INVALID_ARGUMENT, text("a mini-batch of ", batch, " samples has ", why), "take a smaller one");
  }

  const Tail& tail;
  const Kernels& kernels;
  const TailKernels& tail_kernels;
  const uint32_t batch;  // the most samples
  const bool training;   // else forward alone
  const int64_t threads;
  ThreadPool pool;
  int64_t samples = 0;                  // in the last forward pass
  std::vector<Scratch<uint8_t>> codes;  // one array per value
  Gradients gradients;

  SignProducts sign_products;
  ByteProducts byte_products;
  int64_t floats_per_thread = 0;
  Scratch<float> floats;    // sums of bits by signs, as the kernels write them
  Scratch<int32_t> sums;    // the gradient of a layer's input before it is normalised
  Scratch<int64_t> totals;  // per thread: dM, dN, dA, dP of each channel
  Scratch<int32_t> maxima;  // per thread: the largest |G'| of each channel
};

}  // namespace onebit::learner
