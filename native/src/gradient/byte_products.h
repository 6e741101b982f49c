// The three products of a real-valued convolution of the teachable tail: 8-bit levels by 8-bit levels, exact.
//
//   s[sample][pixel][o]  = sum over taps and inputs of w[o][tap][c] * x[sample][pixel read][c]
//   dx[sample][pixel][c] = sum over taps and outputs of h[sample][pixel reached][o] * w[o][tap][c]
//   dw[o][tap][c]        = sum over samples and pixels of h[sample][pixel][o] * x[sample][pixel read][c]
//
// A level of x is its code less a zero, and padding contributes nothing. Products are of rows of 16 bits that are
// gathered first.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/scratch.h"
#include "base/thread_pool.h"
#include "kernels/tail.h"

namespace onebit {

class ByteProducts {
 public:
  explicit ByteProducts(const TailKernels& passes) : passes_(passes) {}

  // Why sums of a batch could leave 32 bits; null if they cannot.
  static const char* unfit(const ConvShape& shape);

  // Take the memory for convolutions of this shape, batch included; nothing below takes any.
  void reserve(const ConvShape& shape, size_t threads);
  void reserve_gradients(const ConvShape& shape);

  // The sums of some samples, on one thread. Arrays are those of the whole batch.
  void forward(const ConvShape& shape, const uint8_t* codes, int32_t zero, const int16_t* weights, int64_t begin,
               int64_t end, int32_t* sums, size_t thread);

  // Room for h, [sample][output pixel][out_c].
  int8_t* h() { return h_.data(); }

  void inputs(const ConvShape& shape, const int16_t* weights, int32_t* sums, ThreadPool& pool);

  // Calls use(output, tap, sums [in_c]), in any order.
  template <class Use>
  void weights(const ConvShape& shape, const uint8_t* codes, int32_t zero, ThreadPool& pool, const Use& use) {
    turn_h(shape, pool);
    for (int64_t tap = 0; tap < int64_t{shape.kernel_h} * shape.kernel_w; ++tap) {
      turn_inputs(shape, tap, codes, zero, pool);
      pool.split(shape.out_c, [&](int64_t begin, int64_t end, size_t thread) {
        for (int64_t first = begin; first < end; first += kRows) {
          const int64_t rows = std::min(kRows, end - first);
          const int32_t* sums = sum_weights(shape, first, rows, thread);
          for (int64_t row = 0; row < rows; ++row) use(first + row, tap, sums + row * shape.in_c);
        }
      });
    }
  }

 private:
  static constexpr int64_t kRows = 8;  // gathered at a time

  struct Thread {
    Scratch<int16_t> rows;
    Scratch<int32_t> sums;
  };

  void turn_h(const ConvShape& shape, ThreadPool& pool);
  void turn_inputs(const ConvShape& shape, int64_t tap, const uint8_t* codes, int32_t zero, ThreadPool& pool);
  const int32_t* sum_weights(const ConvShape& shape, int64_t first, int64_t rows, size_t thread);

  const TailKernels& passes_;
  std::vector<Thread> threads_;
  Scratch<int8_t> h_;
  Scratch<int16_t> left_, right_;
};

}  // namespace onebit
