// Counts the mismatches of a binary convolution as nibble_counter.h does, but two pixels per look-up: in the table of
// a nibble of the pixel a and one of the pixel b, an entry is a's mismatches plus 16 times b's. Three entries, of at
// most 12 + 16 * 12, are added up before b's part is taken out; the sum of all entries modulo 256, less 16 times b's
// mismatches, is a's.
//
// Three steps of one vector and two pixels are three look-ups and two adds, an add of the sum, and a shift, an and and
// an add for b: 9 operations for 24 * kBytes products, where NibbleCounter takes 12. Weights are packed one nibble
// per byte: twice the memory, but nothing to take apart.
#pragma once

#include "kernels/vector/pixel_words.h"
#include "kernels/vector/simd.h"

namespace onebit {
namespace {

// of[b][w]: the bits in which the low nibble of b and the nibble w differ, plus 16 times those of b's high nibble; the
// last table counts nothing.
struct PairMismatches {
  static constexpr int kNothing = 256;
  alignas(64) uint8_t of[kNothing + 1][16];
  constexpr PairMismatches() : of() {
    for (int b = 0; b < 256; ++b) {
      for (int w = 0; w < 16; ++w) of[b][w] = static_cast<uint8_t>(ones((b & 15) ^ w) + 16 * ones((b >> 4) ^ w));
    }
  }
  static constexpr int ones(int x) { return (x & 1) + (x >> 1 & 1) + (x >> 2 & 1) + (x >> 3); }
};
constexpr PairMismatches kPairMismatches;

// Isa is NibbleCounter's, with `store_16_times` and `less_16_times` besides.
template <class Isa>
struct PairCounter : Isa {
  static constexpr int kBytes = sizeof(typename Isa::Bytes), kGranule = kBytes, kPixels = 4, kWordBytes = 8;
  static constexpr int64_t kMaxTerms = 65535;  // counts are widened to 16 bits
  using Bytes = typename Isa::Bytes;
  using Words = typename Vector<4>::Unsigned;
  using Unsigned = typename Vector<Isa::kLanes>::Unsigned;

  static void place(uint32_t word, int64_t lane, int64_t width, uint8_t* steps) {
    for (int n = 0; n < 8; ++n) steps[n * width + lane] = static_cast<uint8_t>(word >> 4 * n & 15);
  }

  // An odd last pixel is its own partner.
  template <int P, int W>
  [[gnu::noinline]] static void count(PixelWords<P>& pixels, Unsigned (&mismatches)[P][W / Isa::kLanes]) {
    constexpr int V = W / kBytes, Q = (P + 1) / 2;
    Bytes sums[2 * Q][V][2];
    for (auto& of_pixel : sums) {
      for (auto& sum : of_pixel) sum[0] = sum[1] = Bytes{};
    }
    alignas(64) uint16_t places[Q][kMaxPlaces];  // places of tables, for `words` words of each pixel
    int64_t words = 0;
    const uint8_t *weight = nullptr, *weight_end = nullptr;  // the weights of those words
    const int64_t span_words = pixels.span_words();
    for (int64_t span = pixels.spans(); span > 0; --span) {
      const uint32_t* pixel[P];
      const uint8_t* next = pixels.next(pixel);
      for (int64_t done = 0; done < span_words;) {
        if (next != weight_end || words == kMaxWords) {
          add_words<V, Q>(places, words, weight, sums);
          weight = weight_end = next;
          words = 0;
        }
        const int64_t room = kMaxWords - words, left = span_words - done, now = left < room ? left : room;
        for (int q = 0; q < Q; ++q) {
          const int a = 2 * q, b = a + 1 < P ? a + 1 : a;
          find_tables(pixel[a] + done, pixel[b] + done, now, places[q] + 8 * words);
        }
        done += now;
        words += now;
        next = weight_end += now * W * kWordBytes;
      }
    }
    add_words<V, Q>(places, words, weight, sums);
    for (int p = 0; p < P; ++p) {
      for (int v = 0; v < V; ++v) Isa::spread(sums[p][v], mismatches[p] + v * kBytes / Isa::kLanes);
    }
  }

 private:
  static constexpr int64_t kMaxWords = 144, kMaxPlaces = 8 * kMaxWords + 32;  // find_tables writes 32 at a time
  static constexpr int64_t kRoom = 21;  // threes, each at most 12 per byte, before a byte overflows

  // The places, in bytes, of the tables of a pair of pixels' nibbles.
  static void find_tables(const uint32_t* a, const uint32_t* b, int64_t words, uint16_t* places) {
    if (words < 4) {
      for (int64_t i = 0; i < words; ++i) find_tables(Words{a[i]}, Words{b[i]}, places + 8 * i);
      return;
    }
    for (int64_t i = 0; i + 4 <= words; i += 4) find_tables(load<Words>(a + i), load<Words>(b + i), places + 8 * i);
    const int64_t last = words - 4;  // the rest, and some again
    if (words % 4 != 0) find_tables(load<Words>(a + last), load<Words>(b + last), places + 8 * last);
  }

  static void find_tables(Words a, Words b, uint16_t* places) {
    const uint32_t low = 0x0f0f0f0f, high = ~low;
    Isa::store_16_times((a & low) | (b & low) << 4, (a >> 4 & low) | (b & high), places);
  }

  // Not inlined: the counts would not stay in registers.
  template <int V, int Q>
  [[gnu::noinline]] static void add_words(uint16_t (&places)[Q][kMaxPlaces], int64_t words, const uint8_t* weight,
                                          Bytes (&sums)[2 * Q][V][2]) {
    const int64_t threes = (8 * words + 2) / 3;
    for (int q = 0; q < Q; ++q) {
      for (int64_t i = 8 * words; i < 3 * threes; ++i) places[q][i] = 16 * PairMismatches::kNothing;
    }
    Bytes both[Q][V], second[Q][V];
    for (int q = 0; q < Q; ++q) {
      for (int v = 0; v < V; ++v) both[q][v] = second[q][v] = Bytes{};
    }
    const uint8_t* tables = kPairMismatches.of[0];
    __asm__("" : "+r"(tables));  // in a register
    const uint16_t* at = places[0];
    for (int64_t left = threes, rounds = (threes + kRoom - 1) / kRoom; rounds > 0; --rounds) {  // as equal as can be
      const int64_t now = (left + rounds - 1) / rounds;
      left -= now;
      for (const uint16_t* end = at + 3 * now; at < end; at += 3, weight += 3 * V * kBytes)
        add_three<V, Q>(tables, at, weight, both, second);
      widen<V, Q>(both, second, sums);
    }
  }

  // The next three nibbles of every pixel with those of every output.
  template <int V, int Q>
  static void add_three(const uint8_t* tables, const uint16_t* places, const uint8_t* weight, Bytes (&both)[Q][V],
                        Bytes (&second)[Q][V]) {
#pragma GCC unroll 2
    for (int q = 0; q < Q; ++q) {
      Bytes sum[V];
#pragma GCC unroll 3
      for (int i = 0; i < 3; ++i) {
        const uint8_t* table = tables + places[q * kMaxPlaces + i];
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) {
          const Bytes entries = Isa::look_up(table, load<Bytes>(weight + (i * V + v) * kBytes));
          sum[v] = i == 0 ? entries : Isa::add(sum[v], entries);
        }
      }
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        both[q][v] = Isa::add(both[q][v], sum[v]);
        second[q][v] = Isa::add(second[q][v], Isa::high_nibbles(sum[v]));
      }
    }
  }

  template <int V, int Q>
  static void widen(Bytes (&both)[Q][V], Bytes (&second)[Q][V], Bytes (&sums)[2 * Q][V][2]) {
    for (int q = 0; q < Q; ++q) {
      for (int v = 0; v < V; ++v) {
        // The same variables as in the loop before, where the compiler would copy them at every step.
        __asm__ volatile("" : "+x"(both[q][v]), "+x"(second[q][v]));
        Isa::add_widened(Isa::less_16_times(both[q][v], second[q][v]), sums[2 * q][v]);
        Isa::add_widened(second[q][v], sums[2 * q + 1][v]);
        both[q][v] = second[q][v] = Bytes{};
      }
    }
  }
};

}  // namespace
}  // namespace onebit
