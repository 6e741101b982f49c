#include "kernels/vector/binary_conv.h"

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/isa.h"
#include "kernels/portable/portable.h"

namespace onebit::avx2 {
namespace {

// of[16 a + w]: the bits in which the nibbles a and w differ.
struct Mismatches {
  alignas(16) uint8_t of[256];
  constexpr Mismatches() : of() {
    for (int i = 0; i < 256; ++i) {
      const int x = (i >> 4) ^ (i & 15);
      of[i] = static_cast<uint8_t>((x & 1) + (x >> 1 & 1) + (x >> 2 & 1) + (x >> 3));
    }
  }
};
constexpr Mismatches kMismatches;

// AVX2 has no popcount. Lanes are outputs, a byte each, and a weight's nibble looks up (VPSHUFB) its mismatches with
// the pixel's nibble in the table of that nibble: a look-up and an add for 128 products, the weights' nibbles being
// taken apart once for all pixels. A word is four steps: a byte of every output for channels 0-7, then 8-15, 16-23,
// 24-31.
struct Counter : Avx2 {
  static constexpr int kOutputs = 64, kGranule = 32, kPixels = 4;
  static constexpr int64_t kMaxTerms = 65535;  // counts are widened to 16 bits

  using Unsigned = Vector<kLanes>::Unsigned;

  static void place(uint32_t word, int64_t lane, int64_t width, uint8_t* steps) {
    for (int b = 0; b < 4; ++b) steps[b * width + lane] = static_cast<uint8_t>(word >> (8 * b));
  }

  template <int P, int W>
  static void count(PixelWords<P>& pixels, Unsigned (&mismatches)[P][W / kLanes]) {
    constexpr int V = W / 32;
    __m256i bytes[P][V], sums[P][V][2];
    for (int p = 0; p < P; ++p) {
      for (int v = 0; v < V; ++v) bytes[p][v] = sums[p][v][0] = sums[p][v][1] = _mm256_setzero_si256();
    }
    int64_t room = kRoom;
    const int64_t span_bytes = 4 * pixels.span_words();
    for (int64_t span = pixels.spans(); span > 0; --span) {
      const uint32_t* pixel[P];
      const uint8_t* weight = pixels.next(pixel);
      for (int64_t at = 0; at < span_bytes;) {
        if (room == 0) {
          widen(bytes, sums);
          room = kRoom;
        }
        const int64_t end = span_bytes - at < room ? span_bytes : at + room;
        room -= end - at;
        for (; at < end; ++at, weight += W) add_byte(pixel, at, weight, bytes);
      }
    }
    widen(bytes, sums);
    for (int p = 0; p < P; ++p) {
      for (int v = 0; v < V; ++v) spread(sums[p][v], mismatches[p] + v * 4);
    }
  }

 private:
  static constexpr int64_t kRoom = 31;  // steps, of at most 8 a byte, before a byte overflows

  // Byte `at` of each pixel with the same byte of every output.
  template <int V, int P>
  static void add_byte(const uint32_t* const (&pixel)[P], int64_t at, const uint8_t* weight, __m256i (&bytes)[P][V]) {
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i low[V], high[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      const __m256i weights = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weight + v * 32));
      low[v] = _mm256_and_si256(weights, nibble);
      high[v] = _mm256_and_si256(_mm256_srli_epi16(weights, 4), nibble);
    }
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const uint64_t byte = reinterpret_cast<const uint8_t*>(pixel[p])[at];
      const __m256i table_low = table(byte << 4 & 0xf0), table_high = table(byte & 0xf0);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        const __m256i mismatches =
            _mm256_add_epi8(_mm256_shuffle_epi8(table_low, low[v]), _mm256_shuffle_epi8(table_high, high[v]));
        bytes[p][v] = _mm256_add_epi8(bytes[p][v], mismatches);
      }
    }
  }

  // The table of a nibble, which comes times 16.
  static __m256i table(uint64_t offset) {
    return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(kMismatches.of + offset)));
  }

  // Outputs 0-7 and 16-23 go to the first half of the sums, 8-15 and 24-31 to the second.
  template <int V, int P>
  static void widen(__m256i (&bytes)[P][V], __m256i (&sums)[P][V][2]) {
    const __m256i zero = _mm256_setzero_si256();
    for (int p = 0; p < P; ++p) {
      for (int v = 0; v < V; ++v) {
        sums[p][v][0] = _mm256_add_epi16(sums[p][v][0], _mm256_unpacklo_epi8(bytes[p][v], zero));
        sums[p][v][1] = _mm256_add_epi16(sums[p][v][1], _mm256_unpackhi_epi8(bytes[p][v], zero));
        bytes[p][v] = zero;
      }
    }
  }

  static void spread(const __m256i (&sums)[2], Unsigned* mismatches) {
    for (int half = 0; half < 2; ++half) {
      mismatches[half] = widened(_mm256_castsi256_si128(sums[half]));
      mismatches[half + 2] = widened(_mm256_extracti128_si256(sums[half], 1));
    }
  }

  static Unsigned widened(__m128i counts) { return reinterpret_cast<Unsigned>(_mm256_cvtepu16_epi32(counts)); }
};

using Blocked = BlockedBinaryConv<Counter>;

}  // namespace

size_t binary_conv_pack_bytes(const ConvShape& shape) {
  return Blocked::fits(shape) ? Blocked::pack_bytes(shape) : portable::binary_conv_pack_bytes(shape);
}

void binary_conv_pack(const ConvShape& shape, const uint32_t* weight, void* packed) {
  return Blocked::fits(shape) ? Blocked::pack(shape, weight, packed)
                              : portable::binary_conv_pack(shape, weight, packed);
}

int64_t binary_conv_units(const ConvShape& shape) {
  return Blocked::fits(shape) ? Blocked::units(shape) : portable::binary_conv_units(shape);
}

void binary_conv(const BinaryConvArgs& args, int64_t begin, int64_t end) {
  return Blocked::fits(args.shape) ? Blocked::run(args, begin, end) : portable::binary_conv(args, begin, end);
}

}  // namespace onebit::avx2
