// Counts the mismatches of a binary convolution where the CPU has no popcount of vectors: lanes are outputs, one byte
// each, and a weight's nibble looks up (VPSHUFB) its mismatches with the pixel's nibble in that nibble's table. A word
// is four steps: a byte of every output for channels 0-7, then 8-15, 16-23, 24-31.
//
// A step of one vector and one pixel is two look-ups and two adds for 8 * kBytes products; the three instructions that
// take the weights' nibbles apart are shared by all pixels of the tile.
#pragma once

#include "kernels/vector/pixel_words.h"
#include "kernels/vector/simd.h"

namespace onebit {
namespace {

// of[b][0][w]: the bits in which the low nibble of the byte b and the nibble w differ; of[b][1][w]: the high nibble.
struct Mismatches {
  alignas(32) uint8_t of[256][2][16];
  constexpr Mismatches() : of() {
    for (int b = 0; b < 256; ++b) {
      for (int w = 0; w < 16; ++w) {
        for (int half = 0; half < 2; ++half) {
          const int x = (b >> 4 * half & 15) ^ w;
          of[b][half][w] = static_cast<uint8_t>((x & 1) + (x >> 1 & 1) + (x >> 2 & 1) + (x >> 3));
        }
      }
    }
  }
};
constexpr Mismatches kMismatches;

// Isa::Bytes is a vector of kBytes bytes.
template <class Isa>
struct NibbleCounter : Isa {
  static constexpr int kBytes = sizeof(typename Isa::Bytes), kGranule = kBytes, kPixels = 4, kWordBytes = 4;
  static constexpr int64_t kMaxTerms = 65535;  // counts are widened to 16 bits
  using Bytes = typename Isa::Bytes;
  using Unsigned = typename Vector<Isa::kLanes>::Unsigned;

  static void place(uint32_t word, int64_t lane, int64_t width, uint8_t* steps) {
    for (int b = 0; b < 4; ++b) steps[b * width + lane] = static_cast<uint8_t>(word >> (8 * b));
  }

  // Not inlined: with all shapes in one function the counts would not stay in registers.
  template <int P, int W>
  [[gnu::noinline]] static void count(PixelWords<P>& pixels, Unsigned (&mismatches)[P][W / Isa::kLanes]) {
    constexpr int V = W / kBytes;
    Bytes bytes[P][V], sums[P][V][2];
    for (int p = 0; p < P; ++p) {
      for (int v = 0; v < V; ++v) bytes[p][v] = sums[p][v][0] = sums[p][v][1] = Bytes{};
    }
    int64_t room = kRoom;
    const int64_t span_bytes = 4 * pixels.span_words();
    for (int64_t span = pixels.spans(); span > 0; --span) {
      const uint32_t* pixel[P];
      const uint8_t* weight = pixels.next(pixel);
      const uint8_t* tables = kMismatches.of[0][0];
      // Keeps these addresses in registers, where the compiler would work them out again at every step.
      __asm__("" : "+r"(tables));
      for (int p = 0; p < P; ++p) __asm__("" : "+r"(pixel[p]));
      for (int64_t at = 0; at < span_bytes;) {
        if (room == 0) {
          widen(bytes, sums);
          room = kRoom;
        }
        const int64_t end = span_bytes - at < room ? span_bytes : at + room;
        room -= end - at;
        for (; at < end; ++at, weight += W) add_byte(tables, pixel, at, weight, bytes);
      }
    }
    widen(bytes, sums);
    for (int p = 0; p < P; ++p) {
      for (int v = 0; v < V; ++v) Isa::spread(sums[p][v], mismatches[p] + v * kBytes / Isa::kLanes);
    }
  }

 private:
  static constexpr int64_t kRoom = 31;  // steps, each at most 8 per byte, before a byte overflows

  // Byte `at` of each pixel with the same byte of every output.
  template <int V, int P>
  static void add_byte(const uint8_t* tables, const uint32_t* const (&pixel)[P], int64_t at, const uint8_t* weight,
                       Bytes (&bytes)[P][V]) {
    Bytes low[V], high[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      const auto weights = load<Bytes>(weight + v * kBytes);
      low[v] = Isa::low_nibbles(weights);
      high[v] = Isa::high_nibbles(weights);
    }
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
      const uint64_t byte = reinterpret_cast<const uint8_t*>(pixel[p])[at];
      const uint8_t* table = tables + 32 * byte;
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        const Bytes mismatches = Isa::add(Isa::look_up(table, low[v]), Isa::look_up(table + 16, high[v]));
        bytes[p][v] = Isa::add(bytes[p][v], mismatches);
      }
    }
  }

  // Within each 128 bits, outputs 0-7 go to the first half of the sums, 8-15 to the second.
  template <int V, int P>
  static void widen(Bytes (&bytes)[P][V], Bytes (&sums)[P][V][2]) {
    for (int p = 0; p < P; ++p) {
      for (int v = 0; v < V; ++v) {
        Isa::add_widened(bytes[p][v], sums[p][v]);
        bytes[p][v] = Bytes{};
      }
    }
  }
};

}  // namespace
}  // namespace onebit
