// The depthwise convolution of bytes: one channel in and one out per group. Lanes are channels. Packed weights: the zero
// point, then int8 [tap][channel].
#include <cstring>

#include "kernels/portable/isa.h"
#include "kernels/portable/tables.h"
#include "kernels/vector/epilogue.h"
#include "kernels/vector/window.h"

namespace onebit::portable {
namespace {

constexpr int N = Portable::kLanes;
constexpr int64_t kChannels = 32;  // whose sums are in registers, or near
using Int = Vector<N>::Int;

// The sums of `count` channels under a window.
void add_products(const ConvShape& s, const uint8_t* corner, const int8_t* weight, int32_t zero_point, int64_t count,
                  int32_t* sums) {
  for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
    for (int64_t kx = 0; kx < s.kernel_w; ++kx, weight += s.in_c) {
      const uint8_t* pixel = corner + (ky * s.dilation_h * s.in_w + kx * s.dilation_w) * s.in_c;
      for (int64_t c = 0; c < count; ++c) {
        // At most 255 * 127: the product is 16 bits wide.
        sums[c] += static_cast<int16_t>(static_cast<int16_t>(pixel[c] - zero_point) * weight[c]);
      }
    }
  }
}

bool fits(const ConvShape& s) { return s.groups > 1 && s.in_c == s.groups && s.out_c == s.groups; }

size_t pack_bytes(const ConvShape& s) { return sizeof(int32_t) + static_cast<size_t>(taps_of(s) * s.in_c); }

void pack(const ConvShape& s, int32_t zero_point, const int8_t* weight, void* packed) {
  std::memcpy(packed, &zero_point, sizeof zero_point);
  auto* to = static_cast<int8_t*>(packed) + sizeof zero_point;
  for (int64_t tap = 0; tap < taps_of(s); ++tap) {
    for (int64_t c = 0; c < s.in_c; ++c) *to++ = weight[c * taps_of(s) + tap];
  }
}

void run(const Int8ConvArgs& args, int64_t begin, int64_t end) {
  const ConvShape& s = args.shape;
  int32_t zero_point;
  std::memcpy(&zero_point, args.weight, sizeof zero_point);
  const auto* weight = static_cast<const int8_t*>(args.weight) + sizeof zero_point;
  WindowCursor cursor(s, begin);
  for (int64_t pixel = begin * s.out_w; pixel < end * s.out_w; ++pixel) {
    const uint8_t* corner = args.input + cursor.next().position * s.in_c;
    for (int64_t first = 0; first < s.out_c; first += kChannels) {
      const int64_t count = s.out_c - first < kChannels ? s.out_c - first : kChannels;
      int32_t sums[kChannels] = {};
      add_products(s, corner + first, weight + first, zero_point, count, sums);
      for (int64_t c = 0; c < count; c += N) {
        Float<N> y[1] = {__builtin_convertvector(load<Int>(sums + c), Float<N>)};
        const int64_t channel = first + c;
        finish<N>(args.epilogue, y, channel, pixel * s.out_c + channel, 0, count - c, args.output);
      }
    }
  }
}

}  // namespace

constexpr Int8ConvKernel depthwise_int8_conv = {"portable depthwise", false, fits, pack_bytes, pack, rows_of, run};

}  // namespace onebit::portable
