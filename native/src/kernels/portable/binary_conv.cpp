#include "kernels/vector/binary_conv.h"

#include "kernels/portable/isa.h"
#include "kernels/portable/tables.h"

namespace onebit::portable {
namespace {

// Lanes are outputs. Bits are counted by adding neighbours within a word (no instruction for it is assumed), into
// bytes.
struct Counter : Portable {
  static constexpr int kOutputs = 32, kGranule = 8, kPixels = 1, kWordBytes = 4;
  static constexpr int64_t kMaxTerms = int64_t{1} << 30;
  using U = Vector<kLanes>::Unsigned;

  static void place(uint32_t word, int64_t lane, int64_t, uint8_t* step) { std::memcpy(step + 4 * lane, &word, 4); }

  template <int P, int W>
  static void count(PixelWords<1>& pixels, U (&mismatches)[1][W / kLanes]) {
    constexpr int V = W / kLanes;
    U bytes[V] = {};
    for (int v = 0; v < V; ++v) mismatches[0][v] = U{};
    int64_t room = kRoom;
    const int64_t words = pixels.span_words();
    for (int64_t span = pixels.spans(); span > 0; --span) {
      const uint32_t* pixel[1];
      const uint8_t* weight = pixels.next(pixel);
      for (int64_t w = 0; w < words; ++w, weight += V * sizeof(U)) {
        if (room-- == 0) {
          widen(bytes, mismatches[0]);
          room = kRoom - 1;
        }
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
          U x = load<U>(weight + v * sizeof(U)) ^ pixel[0][w];
          x = x - ((x >> 1) & 0x55555555u);
          x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
          bytes[v] += (x + (x >> 4)) & 0x0f0f0f0fu;
        }
      }
    }
    widen(bytes, mismatches[0]);
  }

 private:
  static constexpr int64_t kRoom = 31;  // words, each at most 8 per byte, before a byte overflows

  template <int V>
  static void widen(U (&bytes)[V], U (&sums)[V]) {
    for (int v = 0; v < V; ++v) {
      const U pairs = (bytes[v] & 0x00ff00ffu) + ((bytes[v] >> 8) & 0x00ff00ffu);
      sums[v] += (pairs & 0xffffu) + (pairs >> 16);
      bytes[v] = U{};
    }
  }
};

}  // namespace

constexpr BinaryConvKernel blocked_binary_conv =
    BinaryConvKernel::of<BlockedBinaryConv<Counter>>("portable blocks", false);

}  // namespace onebit::portable
