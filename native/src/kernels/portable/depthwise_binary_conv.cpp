// The binary depthwise convolution: one channel in and one out per group; up to 31 taps. Packed weights: [tap][word],
// one bit per channel.
#include <cstring>

#include "kernels/portable/isa.h"
#include "kernels/portable/tables.h"
#include "kernels/vector/epilogue.h"
#include "kernels/vector/window.h"

namespace onebit::portable {
namespace {

constexpr int kPlanes = 5;
constexpr int64_t kMaxTaps = (1 << kPlanes) - 1;
using Int = Vector<Portable::kLanes>::Int;

// Mismatches of 32 channels at once: bit c of planes[j] is bit j of channel c's count.
struct Counter {
  uint32_t planes[kPlanes] = {};
  int32_t terms = 0;

  void add(uint32_t mismatches) {
    for (uint32_t& plane : planes) {
      const uint32_t carry = plane & mismatches;
      plane ^= mismatches;
      mismatches = carry;
    }
    ++terms;
  }

  // terms - 2 * mismatches of channels c, c + 1, c + 2, c + 3.
  Int dots(int c) const {
    const Int shifts = {c, c + 1, c + 2, c + 3};
    Int sum = {};
    for (int j = 0; j < kPlanes; ++j) {
      const Int plane = Int{} + static_cast<int32_t>(planes[j]);
      sum += ((plane >> shifts) & 1) << j;
    }
    return terms - 2 * sum;
  }
};

Counter count(const BinaryConvArgs& args, const Window& window, int64_t word) {
  const ConvShape& s = args.shape;
  const int64_t words = words_of(s.in_c);
  const uint32_t padding = args.pad_value < 0 ? ~0u : 0u;
  const auto* weight = static_cast<const uint32_t*>(args.weight) + word;
  Counter counter;
  for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
    for (int64_t kx = 0; kx < s.kernel_w; ++kx, weight += words) {
      const int64_t y = ky * s.dilation_h, x = kx * s.dilation_w;
      if (window.interior || inside(window.y + y, window.x + x, s.in_h, s.in_w)) {
        counter.add(args.input[(window.position + y * s.in_w + x) * words + word] ^ *weight);
      } else if (args.pad_value != 0) {
        counter.add(padding ^ *weight);
      }
    }
  }
  return counter;
}

bool fits(const ConvShape& s) { return s.in_c == s.groups && s.out_c == s.groups && taps_of(s) <= kMaxTaps; }

size_t pack_bytes(const ConvShape& s) { return static_cast<size_t>(taps_of(s) * words_of(s.in_c)) * sizeof(uint32_t); }

void pack(const ConvShape& s, const uint32_t* weight, void* packed) {
  std::memset(packed, 0, pack_bytes(s));
  auto* to = static_cast<uint32_t*>(packed);
  for (int64_t c = 0; c < s.in_c; ++c) {
    for (int64_t tap = 0; tap < taps_of(s); ++tap) to[tap * words_of(s.in_c) + c / 32] |= (*weight++ & 1u) << (c % 32);
  }
}

void run(const BinaryConvArgs& args, int64_t begin, int64_t end) {
  constexpr int N = Portable::kLanes;
  const ConvShape& s = args.shape;
  WindowCursor cursor(s, begin);
  for (int64_t pixel = begin * s.out_w; pixel < end * s.out_w; ++pixel) {
    const Window window = cursor.next();
    for (int64_t first = 0; first < s.out_c; first += 32) {
      const Counter counter = count(args, window, first / 32);
      const int64_t channels = s.out_c - first < 32 ? s.out_c - first : 32;
      alignas(16) int32_t dots[32];
      for (int c = 0; c < channels; c += N) store(dots + c, counter.dots(c), N);
      if (!args.output) {
        uint32_t* output = args.output_bits + pixel * words_of(s.out_c) + first / 32;
        *output = Portable::outside(dots, args.interval + 2 * first, channels);
        continue;
      }
      for (int64_t c = 0; c < channels; c += N) {
        Float<N> y[1] = {__builtin_convertvector(load<Int>(dots + c), Float<N>)};
        finish<N>(args.epilogue, y, first + c, pixel * s.out_c + first + c, 0, channels - c, args.output);
      }
      if (args.bits.words) {
        const float* values = args.output + pixel * s.out_c + first;
        const int64_t word = pixel * words_of(s.out_c) + first / 32;
        args.bits.words[word] = Portable::outside(values, args.bits.interval + 2 * first, channels);
      }
    }
  }
}

}  // namespace

constexpr BinaryConvKernel depthwise_binary_conv = {"portable depthwise", false, fits, pack_bytes, pack, rows_of, run};

}  // namespace onebit::portable
