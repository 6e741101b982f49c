// The passes of the head: products of blocks that stay in registers, and loops that the compiler vectorises in each
// instruction set's folder.
#pragma once

#include "integer/noise.h"
#include "kernels/head.h"
#include "kernels/portable/tables.h"
#include "kernels/vector/simd.h"

namespace onebit {
namespace {

// Isa: kLanes of 32 bits, each perhaps a pair of levels, and
//   load(from, count)          the first `count` levels, or as many as there are places, then zeros
//   dot(sum, a, b)             sum += the products of levels, whichever lanes they go to
//   add_up(sums[4], to)        of each the sum of its lanes
//   pair(sum, packed, two)     sum += two[0] a + two[1] b, lane by lane, of two rows of which kTogether levels of a
//                              and as many of b take turns; two(factors) makes the third
//   kClasses, kSamples; kRows, kVectors    the blocks' sides
template <class Isa>
struct HeadPasses {
  static constexpr int kLanes = Isa::kLanes;
  using Int = typename Vector<kLanes>::Int;

  static HeadRange range(const int16_t* values, int64_t count) {
    int16_t low = 0, high = 0;
    for (int64_t i = 0; i < count; ++i) {
      low = values[i] < low ? values[i] : low;
      high = values[i] > high ? values[i] : high;
    }
    return {low, high};
  }

  // The product with a reciprocal is off by 2^-8 at most and is lowered by 2^-7: rounded, it is the quotient or one
  // less, and the rest says exactly which.
  static void quantize(const HeadQuantizeArgs& args) {
    constexpr int32_t kNumerator = 6375;  // 50 255 / 52 = 6375 / 26
    constexpr int kShift = 22;
    constexpr int32_t kBelowHalf = (1 << (kShift - 1)) - (1 << (kShift - 7));
    const int32_t divisor = 26 * args.span, zero = args.zero;
    const auto reciprocal = static_cast<int32_t>(((int64_t{kNumerator} << kShift) + divisor / 2) / divisor);
    for (int64_t k = 0; k < args.rows; ++k) {
      const int16_t* __restrict masters = args.masters + k * args.width;
      int16_t* __restrict weights = args.weights + k * head_pitch(args.width);
      for (int64_t i = 0; i < args.width; ++i) {
        const int32_t master = masters[i];
        int32_t q = (master * reciprocal + kBelowHalf) >> kShift;
        const int32_t twice = 2 * (master * kNumerator - q * divisor), odd = q & 1;
        q += twice + odd > divisor;
        int32_t level = q + zero;
        level = level < 0 ? 0 : level > 255 ? 255 : level;
        weights[i] = static_cast<int16_t>(level - zero);
      }
    }
  }

  template <int C, int S>
  static void scores_block(const HeadScoresArgs& args, int64_t row, int64_t sample) {
    const int64_t pitch = head_pitch(args.width);
    const int16_t* weights = args.weights + row * pitch;
    const int16_t* const* inputs = args.inputs + sample;
    Int sum[C][S];
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
#pragma GCC unroll 8
      for (int s = 0; s < S; ++s) sum[c][s] = Int{};
    }
    for (int64_t i = 0; i < args.width; i += 2 * kLanes) {
      Int x[S];
#pragma GCC unroll 8
      for (int s = 0; s < S; ++s) x[s] = Isa::load(inputs[s] + i, args.width - i);
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) {
        const Int w = load<Int>(weights + c * pitch + i);
#pragma GCC unroll 8
        for (int s = 0; s < S; ++s) Isa::dot(sum[c][s], w, x[s]);
      }
    }
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
      int32_t four[4];
      Int sums[4] = {};
#pragma GCC unroll 8
      for (int s = 0; s < S; ++s) sums[s] = sum[c][s];
      Isa::add_up(sums, four);
      std::memcpy(args.scores + (row + c) * args.scores_step + sample, four, S * sizeof four[0]);
    }
  }

  template <int C>
  static void scores_rows(const HeadScoresArgs& args, int64_t row) {
    int64_t s = 0;
    for (; s + Isa::kSamples <= args.samples; s += Isa::kSamples) scores_block<C, Isa::kSamples>(args, row, s);
    for (; s < args.samples; ++s) scores_block<C, 1>(args, row, s);
  }

  static void scores(const HeadScoresArgs& args) {
    int64_t k = 0;
    for (; k + Isa::kClasses <= args.rows; k += Isa::kClasses) scores_rows<Isa::kClasses>(args, k);
    for (; k < args.rows; ++k) scores_rows<1>(args, k);
  }

  // Samples are the lanes.
  static void errors(const HeadErrorsArgs& args) {
    constexpr int64_t kBlock = 16;
    // With a shift of 0 or less t is 0 or so far that the power is 0; above 62 every t is 0.
    const bool none = args.shift - 16 > 62;
    const uint64_t mantissa = none ? 0 : static_cast<uint32_t>(args.mantissa);
    const int64_t shift = none || args.shift < 16 ? 0 : args.shift - 16;
    const uint64_t below_half = ((uint64_t{1} << shift) - 1) >> 1, odd = shift ? 1 : 0;
    for (int64_t first = 0; first < args.samples; first += kBlock) {
      int32_t* __restrict scores = args.scores + first;
      int16_t* __restrict errors = args.errors + first;
      int32_t top[kBlock], targets[kBlock];
      double sums[kBlock];
      for (int64_t s = 0; s < kBlock; ++s) {
        top[s] = scores[s];
        sums[s] = 0;
        targets[s] = first + s < args.samples ? static_cast<int32_t>(args.targets[first + s]) : 0;
      }
      for (int64_t k = 0; k < args.rows; ++k)
        for (int64_t s = 0; s < kBlock; ++s) top[s] = top[s] > scores[k * kGroup + s] ? top[s] : scores[k * kGroup + s];
      for (int64_t k = 0; k < args.rows; ++k) {
        int32_t* __restrict row = scores + k * kGroup;
        int32_t ts[kBlock];
        for (int64_t s = 0; s < kBlock; ++s) {
          const uint32_t difference = static_cast<uint32_t>(top[s]) - static_cast<uint32_t>(row[s]);
          const uint64_t product = difference * mantissa;
          const uint64_t t = (product + below_half + ((product >> shift) & odd)) >> shift;
          ts[s] = static_cast<int32_t>(t > kFar ? kFar : t);
        }
        for (int64_t s = 0; s < kBlock; ++s) row[s] = power(ts[s]);
        for (int64_t s = 0; s < kBlock; ++s) sums[s] += row[s];
      }
      for (int64_t k = 0; k < args.rows; ++k) {
        const int32_t* __restrict row = scores + k * kGroup;
        // A quotient that is no half is 1 / (2 sum) or more from one; the division's error is below 2^-15 / sum.
        for (int64_t s = 0; s < kBlock; ++s) {
          const int32_t p = nearest(255.0 * row[s] / sums[s]);
          const int32_t error = p - (targets[s] == k ? 255 : 0);
          const int32_t half = (error + ((error >> 1) & 1)) >> 1;
          errors[k * kGroup + s] = static_cast<int16_t>(half > 127 ? 127 : half);
        }
      }
    }
  }

  static void pack(const int16_t* const* rows, int64_t terms, int64_t width, int16_t* packed) {
    const int64_t pitch = head_pitch(width);
    for (int64_t j = 0; j < terms; j += 2, packed += 2 * pitch)
      pack_pair(rows[j], j + 1 < terms ? rows[j + 1] : nullptr, width, packed);
  }

  static void pack_pair(const int16_t* __restrict a, const int16_t* __restrict b, int64_t width,
                        int16_t* __restrict to) {
    constexpr int64_t kTogether = Isa::kTogether;
    const int64_t whole = width / kTogether * kTogether;
    for (int64_t i = 0; i < whole; i += kTogether)
      for (int64_t t = 0; t < kTogether; ++t) {
        to[2 * i + t] = a[i + t];
        to[2 * i + kTogether + t] = b ? b[i + t] : int16_t{0};
      }
    for (int64_t i = whole; i < head_pitch(width); ++i) {
      const int64_t t = i % kTogether, at = 2 * (i - t) + t;
      to[at] = i < width ? a[i] : int16_t{0};
      to[at + kTogether] = b && i < width ? b[i] : int16_t{0};
    }
  }

  template <int R, int V>
  static void product_block(const HeadProductArgs& args, int64_t row, int64_t column) {
    const int64_t pitch = 2 * head_pitch(args.width);
    const int16_t* packed = args.packed + 2 * column;
    const int16_t* factors = args.factors + row * args.factors_step;
    int32_t* to = args.sums + row * args.sums_step + column;
    Int sum[R][V];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sum[r][v] = Int{};
    }
    for (int64_t j = 0; j < args.terms; j += 2, packed += pitch) {
      Int x[V];
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) x[v] = load<Int>(packed + 2 * kLanes * v);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const auto two = Isa::two(factors + r * args.factors_step + j);
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) Isa::pair(sum[r][v], x[v], two);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) {
        int32_t* at = to + r * args.sums_step + v * kLanes;
        const int64_t count = V > 1 ? kLanes : args.width - column;
        store(at, load<Int>(at, count) + sum[r][v], count);
      }
    }
  }

  template <int V>
  static void product_columns(const HeadProductArgs& args, int64_t column) {
    int64_t r = 0;
    for (; r + Isa::kRows <= args.rows; r += Isa::kRows) product_block<Isa::kRows, V>(args, r, column);
    for (; r < args.rows; ++r) product_block<1, V>(args, r, column);
  }

  static void product(const HeadProductArgs& args) {
    int64_t i = 0;
    for (; i + Isa::kVectors * kLanes <= args.width; i += Isa::kVectors * kLanes)
      product_columns<Isa::kVectors>(args, i);
    for (; i < args.width; i += kLanes) product_columns<1>(args, i);
  }

  static void update(const HeadUpdateArgs& args) {
    const int32_t shift = args.shift - 16;
    if (shift < 0) return portable::head().update(args);
    if (shift > 62) return;  // every step would be 0
    const double rate = args.mantissa / static_cast<double>(int64_t{1} << shift);
    // Below 2^23, the product with 30 bits is exact in 53.
    const bool small = args.maximum < (1 << 23) && static_cast<double>(args.maximum) * rate < 0x7fff0000;
    small ? update_small(args, rate) : update_any(args, shift);
  }

  static void update_small(const HeadUpdateArgs& args, double rate) {
    const int32_t* __restrict gradient = args.gradient;
    int16_t* __restrict masters = args.masters;
    uint32_t key = args.key;  // for which the entry has the index 0
    for (int64_t i = 0; i < args.count; ++i, key += kNoiseStep) {
      const int32_t step = nearest(gradient[i] * rate);
      const int32_t noisy = (step + static_cast<int32_t>(noise16(key, 0))) >> 16;
      masters[i] = saturated(masters[i] - noisy);
    }
  }

  static void update_any(const HeadUpdateArgs& args, int64_t shift) {
    const int64_t mantissa = args.mantissa;
    const int64_t below_half = static_cast<int64_t>(((uint64_t{1} << shift) - 1) >> 1), odd = shift ? 1 : 0;
    const uint32_t key = args.key;
    const int32_t* __restrict gradient = args.gradient;
    int16_t* __restrict masters = args.masters;
    for (int64_t i = 0; i < args.count; ++i) {
      const int64_t product = gradient[i] * mantissa;
      const int64_t step = (product + below_half + ((product >> shift) & odd)) >> shift;
      const int64_t noisy = (step + noise16(key, static_cast<uint32_t>(i))) >> 16;
      masters[i] = saturated(masters[i] - noisy);
    }
  }

  static constexpr HeadKernels table(const char* name) {
    return {name, range, quantize, scores, errors, pack, product, update};
  }

 private:
  static constexpr uint32_t kFar = (uint32_t{32} << 16) - 1;  // 2^-t rounds to 0 from here on

  template <class T>
  static int16_t saturated(T v) {
    return static_cast<int16_t>(v < -32768 ? -32768 : v > 32767 ? 32767 : v);
  }

  // (y rest) >> 16 in 32 bits.
  static int32_t scaled(int32_t y, int32_t rest) {
    const uint32_t low = static_cast<uint32_t>(y & 0xFFFF) * static_cast<uint32_t>(rest);
    return (y >> 16) * rest + static_cast<int32_t>(low >> 16);
  }

  // exp2_negative of integer/softmax.cpp.
  static int32_t power(int32_t t) {
    const int32_t whole = t >> 16, rest = t & 0xFFFF;
    int32_t y = 7339192;
    y = -57137150 + scaled(y, rest);
    y = 257086653 + scaled(y, rest);
    y = -744155626 + scaled(y, rest);
    y = 1073739719 + scaled(y, rest);
    const uint32_t u = static_cast<uint32_t>(y), below_half = ((1u << whole) - 1) >> 1;
    const uint32_t odd = whole ? (u >> whole) & 1u : 0u;
    return static_cast<int32_t>((u + below_half + odd) >> whole);
  }

  // Halves to even; |value| < 2^31. The sum's last bit is worth 1, so that its low half is the integer.
  static int32_t nearest(double value) {
    const double sum = value + 0x1.8p52;
    int64_t bits;
    std::memcpy(&bits, &sum, sizeof bits);
    return static_cast<int32_t>(bits);
  }
};

}  // namespace
}  // namespace onebit
