#include "kernels/vector/binary_conv.h"

#include "kernels/neon/isa.h"
#include "kernels/neon/tables.h"

namespace onebit::neon {
namespace {

// Lanes are outputs: xor (EOR), count the bits of each byte (CNT) and add bytes, 128 products; P pixels x 16 outputs
// are in registers. A block is one or two such runs of 16 outputs.
struct Counter : Neon {
#ifdef __aarch64__
  static constexpr int kPixels = 4;
#else
  static constexpr int kPixels = 2;  // for 16 registers instead of 32
#endif
  static constexpr int kOutputs = 32, kGranule = 8, kWordBytes = 4;
  static constexpr int64_t kMaxTerms = int64_t{1} << 30;
  using Unsigned = Vector<kLanes>::Unsigned;

  static void place(uint32_t word, int64_t lane, int64_t, uint8_t* step) { std::memcpy(step + 4 * lane, &word, 4); }

  template <int P, int W>
  static void count(const PixelWords<P>& pixels, Unsigned (&mismatches)[P][W / kLanes]) {
    auto* counts = reinterpret_cast<uint32_t*>(mismatches);
    std::memset(mismatches, 0, sizeof(mismatches));
    for (int first = 0; first < W; first += 16) {
      if (W - first >= 16) {
        count_run<4, P>(pixels, 4 * first, W, counts + first);
      } else {
        count_run<2, P>(pixels, 4 * first, W, counts + first);
      }
    }
  }

 private:
  static constexpr std::ptrdiff_t kRoom = 31;  // words, each at most 8 per byte, before a byte overflows

  // Adds the mismatches of 4 * V outputs, `offset` bytes into each step of the weights, to `counts`; a step and the
  // counts of a pixel are `width` outputs. Not inlined: with all shapes in one function the counters would not stay in
  // registers.
  template <int V, int P>
  [[gnu::noinline]] static void count_run(PixelWords<P> pixels, int64_t offset, int64_t width, uint32_t* counts) {
    uint8x16_t bytes[P][V];
    for (int p = 0; p < P; ++p) {
      for (int v = 0; v < V; ++v) bytes[p][v] = vdupq_n_u8(0);
    }
    std::ptrdiff_t room = kRoom;
    const auto words = static_cast<std::ptrdiff_t>(pixels.span_words());
    for (int64_t span = pixels.spans(); span > 0; --span) {
      const uint32_t* pixel[P];
      const uint8_t* weight = pixels.next(pixel) + offset;
      for (std::ptrdiff_t at = 0; at < words;) {
        if (room == 0) {
          widen(bytes, counts, width);
          room = kRoom;
        }
        const std::ptrdiff_t end = words - at < room ? words : at + room;
        room -= end - at;
        for (; at < end; ++at, weight += 4 * width) add_word(pixel, at, weight, bytes);
      }
    }
    widen(bytes, counts, width);
  }

  // Word `at` of each pixel with the same word of every output.
  template <int V, int P>
  static void add_word(const uint32_t* const (&pixel)[P], std::ptrdiff_t at, const uint8_t* weight,
                       uint8x16_t (&bytes)[P][V]) {
    uint8x16_t weights[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) weights[v] = vld1q_u8(weight + 16 * v);
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const uint8x16_t word = vreinterpretq_u8_u32(vld1q_dup_u32(pixel[p] + at));
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) bytes[p][v] = vaddq_u8(bytes[p][v], vcntq_u8(veorq_u8(weights[v], word)));
    }
  }

  // The four bytes of an output are added pairwise (UADDLP).
  template <int V, int P>
  static void widen(uint8x16_t (&bytes)[P][V], uint32_t* counts, int64_t width) {
    asm volatile("" : "+r"(counts));  // else the compiler keeps the counts in registers, where there is no room
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        uint32_t* to = counts + p * width + 4 * v;
        vst1q_u32(to, vaddq_u32(vld1q_u32(to), vpaddlq_u16(vpaddlq_u8(bytes[p][v]))));
        bytes[p][v] = vdupq_n_u8(0);
      }
    }
  }
};

}  // namespace

constexpr BinaryConvKernel binary_conv = BinaryConvKernel::of<BlockedBinaryConv<Counter>>("neon bytes", true);

}  // namespace onebit::neon
