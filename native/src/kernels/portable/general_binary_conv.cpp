// The binary convolution of shapes that blocks do not fit: groups whose channels do not start at words. Packed weights
// are the file's.
#include <cstring>

#include "kernels/portable/tables.h"
#include "kernels/reference/epilogue.h"
#include "kernels/vector/window.h"

namespace onebit::portable {
namespace {

// Channels [first, first + count) of a pixel as words: 32 bits from a bit position, the spare ones zero.
uint32_t slice(const uint32_t* pixel, int64_t first, int64_t count) {
  const int64_t word = first / 32, shift = first % 32;
  uint32_t bits = pixel[word] >> shift;
  if (shift + (count < 32 ? count : 32) > 32) bits |= pixel[word + 1] << (32 - shift);
  return count < 32 ? bits & ((1u << count) - 1) : bits;
}

int32_t dot(const BinaryConvArgs& args, const Window& window, int64_t o) {
  const ConvShape& s = args.shape;
  const int64_t channels = s.in_c / s.groups;
  const int64_t first = o / (s.out_c / s.groups) * channels;
  const auto* weight = static_cast<const uint32_t*>(args.weight) + o * taps_of(s) * words_of(channels);
  int64_t sum = 0;
  for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
    for (int64_t kx = 0; kx < s.kernel_w; ++kx, weight += words_of(channels)) {
      const int64_t y = window.y + ky * s.dilation_h, x = window.x + kx * s.dilation_w;
      const bool real = inside(y, x, s.in_h, s.in_w);
      if (!real && args.pad_value == 0) continue;
      const int64_t position = window.position + ky * s.dilation_h * s.in_w + kx * s.dilation_w;
      const uint32_t* pixel = real ? args.input + position * words_of(s.in_c) : nullptr;
      int64_t mismatches = 0;
      for (int64_t c = 0; c < channels; c += 32) {
        const uint32_t bits = real ? slice(pixel, first + c, channels - c) : 0;
        mismatches += popcount(bits ^ weight[c / 32]);
      }
      sum += (real ? 1 : args.pad_value) * (channels - 2 * mismatches);
    }
  }
  return static_cast<int32_t>(sum);
}

bool fits(const ConvShape&) { return true; }

size_t pack_bytes(const ConvShape& s) {
  return static_cast<size_t>(s.out_c * taps_of(s) * words_of(s.in_c / s.groups)) * sizeof(uint32_t);
}

void pack(const ConvShape& s, const uint32_t* weight, void* packed) { std::memcpy(packed, weight, pack_bytes(s)); }

void run(const BinaryConvArgs& args, int64_t begin, int64_t end) {
  const ConvShape& s = args.shape;
  WindowCursor cursor(s, begin);
  for (int64_t pixel = begin * s.out_w; pixel < end * s.out_w; ++pixel) {
    const Window window = cursor.next();
    for (int64_t o = 0; o < s.out_c; ++o) {
      const int32_t sum = dot(args, window, o);
      if (args.output) {
        const int64_t index = pixel * s.out_c + o;
        args.output[index] = reference::epilogue(args.epilogue, static_cast<float>(sum), o, index);
        if (args.bits.words) reference::set_bit(args.bits, pixel, s.out_c, o, args.output[index]);
      } else {
        uint32_t& word = args.output_bits[pixel * words_of(s.out_c) + o / 32];
        if (o % 32 == 0) word = 0;
        const bool plus = args.interval[2 * o] <= sum && sum <= args.interval[2 * o + 1];
        word |= static_cast<uint32_t>(!plus) << (o % 32);
      }
    }
  }
}

}  // namespace

constexpr BinaryConvKernel general_binary_conv = {"portable general", false, fits, pack_bytes, pack, rows_of, run};

}  // namespace onebit::portable
