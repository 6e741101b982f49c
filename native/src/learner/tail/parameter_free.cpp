// What trains nothing in the tail: pools, and channels of zeros (docs/learner.md).
#include <algorithm>
#include <cmath>

#include "kernels/shape.h"
#include "learner/tail/network.h"

namespace onebit::learner {
namespace {

// Calls visit(input pixel) for what a window of a pool sees, in the order of its rows.
template <class Visit>
void see(const ConvShape& s, int64_t output, const Visit& visit) {
  const int64_t top = output / s.out_w * s.stride_h - s.pad_top, left = output % s.out_w * s.stride_w - s.pad_left;
  for (int64_t y = std::max<int64_t>(top, 0); y < std::min<int64_t>(top + s.kernel_h, s.in_h); ++y)
    for (int64_t x = std::max<int64_t>(left, 0); x < std::min<int64_t>(left + s.kernel_w, s.in_w); ++x)
      visit(y * s.in_w + x);
}

// The pixel of the first of the largest codes of a channel.
int64_t largest_of(const ConvShape& s, int64_t output, const uint8_t* codes) {
  int64_t best = -1;
  see(s, output, [&](int64_t pixel) {
    if (best < 0 || codes[pixel * s.in_c] > codes[best * s.in_c]) best = pixel;
  });
  return best;
}

}  // namespace

void TailNetwork::run_untrained(size_t layer, int64_t begin, int64_t end) {
  const TailLayer& from = tail_.layers[layer];
  const TailValue &in = tail_.values[from.input], &out = tail_.values[layer + 1];
  const int64_t zero = in.quantizer.zero, before = from.channels_before;
  for (int64_t i = begin; i < end; ++i) {
    const uint8_t* codes = codes_[from.input].data() + i * in.elements();
    uint8_t* to = codes_[layer + 1].data() + i * out.elements();
    for (int64_t pixel = 0; pixel < out.pixels(); ++pixel) {
      for (int64_t c = 0; c < out.c; ++c) {
        int64_t sum = 0;
        if (from.op == Op::average_pool) {
          see(from.shape, pixel, [&](int64_t seen) { sum += codes[seen * in.c + c] - zero; });
        } else if (from.op == Op::max_pool) {
          sum = codes[largest_of(from.shape, pixel, codes + c) * in.c + c] - zero;
        } else if (c >= before && c < before + in.c) {
          sum = codes[pixel * in.c + c - before] - zero;
        }
        *to++ = static_cast<uint8_t>(clamp<0, kLevels>(multiply(sum, from.ratio, 0) + out.quantizer.zero));
      }
    }
  }
}

// The gradient of a sample's sums, brought to the input.
void TailNetwork::spread(size_t layer, int64_t sample, int32_t* sums) const {
  const TailLayer& from = tail_.layers[layer];
  const TailValue &in = tail_.values[from.input], &out = tail_.values[layer + 1];
  const int16_t* g = values_of(layer + 1) + sample * out.elements();
  const uint8_t* codes = codes_[from.input].data() + sample * in.elements();
  std::fill_n(sums, in.elements(), 0);
  for (int64_t pixel = 0; pixel < out.pixels(); ++pixel, g += out.c) {
    if (from.op == Op::pad_channels) {
      std::copy_n(g + from.channels_before, in.c, sums + pixel * in.c);
    } else if (from.op == Op::average_pool) {
      see(from.shape, pixel, [&](int64_t seen) {
        for (int64_t c = 0; c < in.c; ++c) sums[seen * in.c + c] += g[c];
      });
    } else {
      for (int64_t c = 0; c < in.c; ++c) sums[largest_of(from.shape, pixel, codes + c) * in.c + c] += g[c];
    }
  }
}

void TailNetwork::through_untrained(size_t layer) {
  const Gradient& output = gradients_[layer + 1];
  const TailLayer& from = tail_.layers[layer];
  if (!output.present || from.input == 0) return;
  const int64_t size = tail_.values[from.input].elements();
  std::fill(largest_.begin(), largest_.end(), 0);
  pool_.split(count_, [&](int64_t begin, int64_t end, size_t thread) {
    int32_t* sums = spread_.data() + static_cast<int64_t>(thread) * size;
    for (int64_t i = begin; i < end; ++i) {
      spread(layer, i, sums);
      largest_[thread] = std::max(largest_[thread], most_of(sums, size));
    }
  });
  const int64_t most = *std::max_element(largest_.begin(), largest_.end());
  if (most == 0) return;
  const int shift = to_16_bits(most);
  pool_.split(count_, [&](int64_t begin, int64_t end, size_t thread) {
    int32_t* sums = spread_.data() + static_cast<int64_t>(thread) * size;
    for (int64_t i = begin; i < end; ++i) {
      spread(layer, i, sums);
      narrow(sums, size, shift, other_.data() + i * size);
    }
  });
  accept(from.input, std::ldexp(output.unit / static_cast<double>(from.count), shift));
}

}  // namespace onebit::learner
