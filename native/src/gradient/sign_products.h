// The two products of a binary convolution's backward half: 8 bits of the gradient of its output by signs.
//
//   dx[sample][pixel][c]  = sum over taps and outputs of h[sample][pixel reached][o] * sign(w[o][tap][c])
//   dw[o][tap][c]         = sum over samples and pixels of h[sample][pixel][o] * sign(x[sample][pixel read][c])
//
// Padding contributes nothing, and no time is spent on it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/scratch.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "kernels/sign_product.h"

namespace onebit {

// Which pixels a convolution brings together: a list for each input pixel and one for each tap.
class ConvPairs {
 public:
  explicit ConvPairs(const ConvShape& shape);

  struct List {
    const SignPair* pairs;
    int64_t count;
  };
  List of_input(int64_t pixel) const { return at(inputs_, pixel); }  // output pixels, taps
  List of_tap(int64_t tap) const { return at(taps_, tap); }          // output pixels, input pixels

 private:
  struct Lists {
    std::vector<SignPair> pairs;
    std::vector<int64_t> first = {0};
  };
  static List at(const Lists& lists, int64_t index) {
    const auto i = static_cast<size_t>(index);
    return {lists.pairs.data() + lists.first[i], lists.first[i + 1] - lists.first[i]};
  }

  Lists inputs_, taps_;
};

class SignProducts {
 public:
  explicit SignProducts(const SignKernels& kernels) : kernels_(kernels) {}

  // Takes the memory for convolutions of this shape, batch included; nothing below takes any.
  void reserve(const ConvShape& shape, int64_t threads);

  // Room for h, which is from -128 to 127, [sample][output pixel][h_step].
  int64_t h_step(const ConvShape& shape) const { return steps_of(shape.out_c) * kernels_.terms; }
  int8_t* start(const ConvShape& shape);

  // weights: sign bits [out_c][tap][words]; sums: [sample][input pixel][in_c].
  void inputs(const ConvShape& shape, const ConvPairs& pairs, const uint32_t* weights, int32_t* sums, ThreadPool& pool);

  // bits: of x, [sample][input pixel][words]. Calls use(output, sums [tap][in_c]), in any order.
  template <class Use>
  void weights(const ConvShape& shape, const ConvPairs& pairs, const uint32_t* bits, ThreadPool& pool, const Use& use) {
    pack_inputs(shape, bits, pool);
    const int64_t size = int64_t{shape.kernel_h} * shape.kernel_w * shape.in_c;
    pool.split((shape.out_c + kernels_.rows - 1) / kernels_.rows, [&](int64_t begin, int64_t end, size_t thread) {
      for (int64_t first = begin * kernels_.rows; first < std::min<int64_t>(shape.out_c, end * kernels_.rows);
           first += kernels_.rows) {
        const int64_t rows = std::min(kernels_.rows, shape.out_c - first);
        const int32_t* sums = sum_weights(shape, pairs, first, rows, thread);
        for (int64_t row = 0; row < rows; ++row) use(first + row, sums + row * size);
      }
    });
  }

 private:
  struct Left {  // per thread: some rows
    Scratch<int8_t> h;
    Scratch<uint8_t> spread;
    Scratch<int32_t> sums_of_h, sums;
  };

  int64_t steps_of(int64_t terms) const { return (terms + kernels_.terms - 1) / kernels_.terms; }
  int64_t blocks_of(int64_t columns) const { return (columns + kernels_.columns - 1) / kernels_.columns; }
  void pack_inputs(const ConvShape& shape, const uint32_t* bits, ThreadPool& pool);
  const int32_t* sum_weights(const ConvShape& shape, const ConvPairs& pairs, int64_t first, int64_t rows,
                             size_t thread);
  void spread(const int8_t* h, int64_t segments, int64_t steps, int64_t row, Left& left) const;

  const SignKernels& kernels_;
  Scratch<int8_t> h_;
  Scratch<uint8_t> right_;
  std::vector<Left> left_;
};

}  // namespace onebit
