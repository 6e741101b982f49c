// Which elements a node of the tail reads for each of its output, one window at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "format/model.h"

namespace onebit::test {

using Numbers64 = std::vector<int64_t>;

inline int64_t at(const Numbers64& v, int64_t i) { return v[static_cast<size_t>(i)]; }

// Every product of a convolution: its place in the output, the input and the weights.
inline void taps(const Model& model, const Node& node, int64_t count,
                 const std::function<void(int64_t, int64_t, int64_t)>& visit) {
  const Value &in = model.values[node.input], &out = model.values[node.output];
  for (int64_t n = 0; n < count; ++n)
    for (int64_t y = 0; y < out.h; ++y)
      for (int64_t x = 0; x < out.w; ++x)
        for (int64_t ky = 0; ky < node.kernel_h; ++ky)
          for (int64_t kx = 0; kx < node.kernel_w; ++kx) {
            const int64_t iy = y * node.stride_h - node.pad_top + ky, ix = x * node.stride_w - node.pad_left + kx;
            if (iy < 0 || iy >= in.h || ix < 0 || ix >= in.w) continue;
            for (int64_t o = 0; o < out.c; ++o)
              for (int64_t i = 0; i < in.c; ++i)
                visit(((n * out.h + y) * out.w + x) * out.c + o, ((n * in.h + iy) * in.w + ix) * in.c + i,
                      ((o * node.kernel_h + ky) * node.kernel_w + kx) * in.c + i);
          }
}

// Calls visit(output, inputs) with the inputs of each element of the output of what trains nothing.
inline void windows(const Model& model, const Node& node, int64_t count,
                    const std::function<void(int64_t, const Numbers64&)>& visit) {
  const Value &in = model.values[node.input], &out = model.values[node.output];
  int64_t to = 0;
  for (int64_t n = 0; n < count; ++n)
    for (int64_t y = 0; y < out.h; ++y)
      for (int64_t x = 0; x < out.w; ++x)
        for (int64_t c = 0; c < out.c; ++c, ++to) {
          Numbers64 inputs;
          const bool pads = node.op == Op::pad_channels;
          const int64_t channel = c - node.channels_before;
          for (int64_t ky = 0; ky < node.kernel_h; ++ky)
            for (int64_t kx = 0; kx < node.kernel_w; ++kx) {
              const int64_t iy = y * node.stride_h - node.pad_top + ky, ix = x * node.stride_w - node.pad_left + kx;
              if (iy < 0 || iy >= in.h || ix < 0 || ix >= in.w || channel < 0 || channel >= in.c) continue;
              inputs.push_back(((n * in.h + iy) * in.w + ix) * in.c + (pads ? channel : c));
            }
          visit(to, inputs);
        }
}

// Of which input a maximum pool takes its output.
inline int64_t first_largest(const Numbers64& x, const Numbers64& inputs) {
  return *std::max_element(inputs.begin(), inputs.end(), [&](int64_t a, int64_t b) { return at(x, a) < at(x, b); });
}

}  // namespace onebit::test
