// The input gradient as convolutions over the output's gradient, one axis at a time.
//
// Output o of a convolution of stride s and padding p reads input y at tap k where y + p = s o + k. So the inputs with
// (y + p) mod s = r, a phase, are reached only by the taps r, r + s, ...: with u = (y + p - r) / s,
//   dx[y] = sum over j of g[u - j] * w[r + s j]
// which is a convolution of stride 1 over g, whose kernel is those taps in reverse.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace onebit {

struct Phase {
  int64_t tap;           // r
  int64_t taps;          // kernel taps, perhaps none
  int64_t input, count;  // the first y, and how many, s apart
  int64_t first;         // u of the first y

  int64_t start() const { return first - taps + 1; }  // where the first window begins in g; negative in front of it
};

// One axis of the convolution.
struct GradientAxis {
  GradientAxis(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t pad)
      : out(out), kernel(kernel), stride(stride), pad(pad), size(out) {
    for (int64_t r = 0; r < stride; ++r) {
      Phase phase = {};
      phase.tap = r;
      phase.taps = r < kernel ? (kernel - r + stride - 1) / stride : 0;
      phase.first = pad > r ? (pad - r + stride - 1) / stride : 0;
      phase.input = stride * phase.first + r - pad;
      phase.count = phase.input < in ? (in - 1 - phase.input) / stride + 1 : 0;
      if (phase.count == 0) continue;
      phases.push_back(phase);
      if (phase.taps == 0) continue;
      lead = std::max(lead, -phase.start());
      size = std::max(size, phase.first + phase.count);
    }
    size += lead;
  }

  // The taps through which outputs reach input y, one bit each.
  uint64_t reaching(int64_t y) const {
    uint64_t bits = 0;
    for (int64_t k = 0; k < kernel; ++k) {
      const int64_t at = y + pad - k;
      if (at >= 0 && at % stride == 0 && at / stride < out) bits |= uint64_t{1} << k;
    }
    return bits;
  }

  int64_t out, kernel, stride, pad;
  int64_t lead = 0, size;  // zeros in front of g, and its length with those on both sides
  std::vector<Phase> phases;
};

}  // namespace onebit
