// The passes of the teachable tail, as loops that the compiler makes vectors of in each instruction set's folder.
#pragma once

#include <cstring>

#include "kernels/shape.h"
#include "kernels/tail.h"

namespace onebit {
namespace {

struct TailPasses {
  static int64_t clamp(int64_t v, int64_t low, int64_t high) { return v < low ? low : v > high ? high : v; }

  // To nearest, halves to even: adding half less one unit, and that unit where the floor is odd.
  static int64_t round_shift(int64_t v, int32_t shift) {
    if (shift == 0) return v;
    const int64_t below_half = (int64_t{1} << (shift - 1)) - 1;
    return (v + below_half + ((v >> shift) & 1)) >> shift;
  }

  static int16_t gradient16(int64_t t, int32_t shift) {
    return static_cast<int16_t>(clamp(round_shift(t, shift), -32767, 32767));
  }

  static uint32_t noise16(uint32_t key, uint32_t index) {
    uint32_t x = key + index * 0x9E3779B9u;
    x ^= x >> 16;
    x *= 0x7FEB352Du;
    x ^= x >> 15;
    x *= 0x846CA68Bu;
    return x >> 16;
  }

  static void integers(const float* __restrict from, int64_t count, int16_t* __restrict to) {
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<int16_t>(static_cast<int32_t>(from[i]));
  }

  static void levels_of(const uint8_t* __restrict codes, int64_t count, int32_t zero, int16_t* __restrict to) {
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<int16_t>(codes[i] - zero);
  }

  static void unpack(const uint32_t* words, int64_t pixels, int64_t channels, const uint8_t* __restrict plus,
                     const uint8_t* __restrict minus, uint8_t* __restrict codes) {
    for (int64_t pixel = 0; pixel < pixels; ++pixel, words += words_of(channels), codes += channels) {
      for (int64_t c = 0; c < channels; ++c) codes[c] = words[c / 32] >> (c % 32) & 1u ? minus[c] : plus[c];
    }
  }

  // Eight bytes of 0 or 1 to eight bits, the first byte lowest.
  static uint32_t gather_bits(const uint8_t* bytes) {
    uint64_t eight;
    std::memcpy(&eight, bytes, sizeof eight);
    return static_cast<uint32_t>((eight * 0x0102040810204080u) >> 56);
  }

  template <class Bit>
  static void pack(int64_t rows, int64_t channels, uint32_t* words, Bit bit) {
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t first = 0; first < channels; first += 32, ++words) {
        uint8_t bytes[32] = {};
        if (first + 32 <= channels) {
          for (int64_t i = 0; i < 32; ++i) bytes[i] = bit(row, first + i);
        } else {
          for (int64_t i = 0; i < channels - first; ++i) bytes[i] = bit(row, first + i);
        }
        *words = gather_bits(bytes) | gather_bits(bytes + 8) << 8 | gather_bits(bytes + 16) << 16 |
                 gather_bits(bytes + 24) << 24;
      }
    }
  }

  static void binarize(const uint8_t* codes, int64_t pixels, int64_t channels, const int16_t* thresholds,
                       uint32_t* words) {
    pack(pixels, channels, words,
         [=](int64_t pixel, int64_t c) { return static_cast<uint8_t>(codes[pixel * channels + c] < thresholds[c]); });
  }

  static void signs(const int8_t* weights, int64_t rows, int64_t channels, uint32_t* words) {
    pack(rows, channels, words,
         [=](int64_t row, int64_t c) { return static_cast<uint8_t>(weights[row * channels + c] < 0); });
  }

  template <bool Residual>
  static int64_t z_of(const TailSums& z, int64_t m, int64_t s, int64_t n, int64_t r) {
    int64_t sum = m * s + n;
    if (Residual) sum += int64_t{z.residual_factor} * (r - z.residual_zero);
    return clamp(sum, -INT32_MAX, INT32_MAX);
  }

  template <Activation F, bool Residual>
  static void codes(const TailCodesArgs& args) {
    const TailSums z = args.z;
    const int32_t* __restrict m = z.m, * __restrict n = z.n, * __restrict a = z.a, * __restrict p = z.p;
    const int32_t zero = args.zero;
    for (int64_t pixel = 0; pixel < z.pixels; ++pixel) {
      const int16_t* __restrict s = z.sums + pixel * z.channels;
      const uint8_t* __restrict r = Residual ? z.residual + pixel * z.channels : nullptr;
      uint8_t* __restrict to = args.output + pixel * z.channels;
      for (int64_t c = 0; c < z.channels; ++c) {
        const int64_t sum = z_of<Residual>(z, m[c], s[c], n[c], Residual ? r[c] : 0);
        int64_t y = sum;
        if (F == Activation::relu) y = sum < 0 ? 0 : sum;
        if (F == Activation::hardtanh) y = clamp(sum, -int64_t{z.limit}, z.limit);
        if (F == Activation::prelu) y = sum < 0 ? round_shift(sum * a[c], 16) : sum;
        to[c] = static_cast<uint8_t>(clamp(round_shift(y + p[c], 16) + zero, 0, 255));
      }
    }
  }

  template <Activation F, bool Residual>
  static void gradient(const TailGradientArgs& args) {
    const TailSums z = args.z;
    const int32_t* __restrict m = z.m, * __restrict n = z.n, * __restrict a = z.a;
    int64_t* __restrict dm = args.dm, * __restrict dn = args.dn, * __restrict da = args.da, * __restrict dp = args.dp;
    int32_t* __restrict most = args.most;
    for (int64_t pixel = 0; pixel < z.pixels; ++pixel) {
      const int16_t* __restrict s = z.sums + pixel * z.channels;
      const uint8_t* __restrict r = Residual ? z.residual + pixel * z.channels : nullptr;
      int16_t* __restrict gradient = args.gradient + pixel * z.channels;
      for (int64_t c = 0; c < z.channels; ++c) {
        const int32_t g = gradient[c];
        int32_t before = g;
        if (F != Activation::none) {
          const int64_t sum = z_of<Residual>(z, m[c], s[c], n[c], Residual ? r[c] : 0);
          if (F == Activation::relu) before = sum < 0 ? 0 : g;
          if (F == Activation::hardtanh) before = sum < -int64_t{z.limit} || sum > z.limit ? 0 : g;
          if (F == Activation::prelu) {
            const int32_t scaled = gradient16(int64_t{g} * a[c], 16);
            da[c] += sum < 0 ? g * round_shift(sum, 16) : 0;
            before = sum < 0 ? scaled : g;
          }
        }
        dp[c] += g;
        dn[c] += before;
        dm[c] += before * s[c];
        const int32_t size = before < 0 ? -before : before;
        most[c] = size > most[c] ? size : most[c];
        gradient[c] = static_cast<int16_t>(before);
      }
    }
  }

  template <template <Activation, bool> class Pass, class Args>
  static void activated(const Args& args) {
    const bool residual = args.z.residual != nullptr;
    switch (args.z.activation) {
      case Activation::none:
        return residual ? Pass<Activation::none, true>::run(args) : Pass<Activation::none, false>::run(args);
      case Activation::relu:
        return residual ? Pass<Activation::relu, true>::run(args) : Pass<Activation::relu, false>::run(args);
      case Activation::hardtanh:
        return residual ? Pass<Activation::hardtanh, true>::run(args) : Pass<Activation::hardtanh, false>::run(args);
      case Activation::prelu:
        return residual ? Pass<Activation::prelu, true>::run(args) : Pass<Activation::prelu, false>::run(args);
    }
  }
  template <Activation F, bool Residual>
  struct Codes {
    static void run(const TailCodesArgs& args) { codes<F, Residual>(args); }
  };
  template <Activation F, bool Residual>
  struct Gradient {
    static void run(const TailGradientArgs& args) { gradient<F, Residual>(args); }
  };

  static void levels(const TailLevelsArgs& args) {
    const int32_t* __restrict m = args.m;
    const int32_t right = args.shift < 0 ? 0 : args.shift, left = args.shift < 0 ? -args.shift : 0;
    const int64_t factor = int64_t{1} << left, inverse = args.inverse;
    constexpr int64_t offset = int64_t{128} << 39;
    for (int64_t pixel = 0; pixel < args.pixels; ++pixel) {
      const int16_t* __restrict gradient = args.gradient + pixel * args.channels;
      uint8_t* __restrict to = args.output + pixel * args.channels;
      const uint32_t first = args.first + static_cast<uint32_t>(pixel * args.channels);
      for (int64_t c = 0; c < args.channels; ++c) {
        const int64_t h = ((int64_t{gradient[c]} * m[c]) >> right) * factor;
        const int64_t u = int64_t{noise16(args.key, first + static_cast<uint32_t>(c))} << 23;
        to[c] = static_cast<uint8_t>((h * inverse + u + offset) >> 39);
      }
    }
  }

  static void input(const TailInputArgs& args, int32_t shift, int16_t* __restrict to) {
    const int32_t* __restrict m = args.m;
    for (int64_t pixel = 0; pixel < args.pixels; ++pixel, to += args.channels) {
      const int16_t* __restrict gradient = args.gradient + pixel * args.channels;
      for (int64_t c = 0; c < args.channels; ++c) to[c] = gradient16(int64_t{gradient[c]} * m[c], shift);
    }
  }

  template <class Visit>
  static void estimates(const TailEstimateArgs& args, Visit visit) {
    const int32_t* __restrict thresholds = args.thresholds;
    for (int64_t pixel = 0; pixel < args.pixels; ++pixel) {
      const float* __restrict sums = args.sums + pixel * args.channels;
      const uint8_t* __restrict codes = args.codes + pixel * args.channels;
      for (int64_t c = 0; c < args.channels; ++c) {
        const int32_t from = (codes[c] - args.zero) * args.step - thresholds[c], distance = from < 0 ? -from : from;
        const int32_t slope = distance <= 32768 ? (args.quadratic ? 32768 - distance : 16384) : 0;
        visit(pixel * args.channels + c, int64_t{static_cast<int32_t>(sums[c])} * slope);
      }
    }
  }

  static int64_t most_of_estimate(const TailEstimateArgs& args) {
    int64_t most = 0;
    estimates(args, [&](int64_t, int64_t t) {
      const int64_t size = t < 0 ? -t : t;
      most = size > most ? size : most;
    });
    return most;
  }

  static void estimate(const TailEstimateArgs& args, int32_t shift, int16_t* __restrict to) {
    estimates(args, [=](int64_t i, int64_t t) { to[i] = gradient16(t, shift); });
  }

  static int64_t most_of_add(const TailAddArgs& args) {
    const int16_t* __restrict a = args.a, * __restrict b = args.b;
    int64_t most = 0;
    for (int64_t i = 0; i < args.count; ++i) {
      const int64_t t = int64_t{a[i]} * args.by_a + int64_t{b[i]} * args.by_b, size = t < 0 ? -t : t;
      most = size > most ? size : most;
    }
    return most;
  }

  static void add(const TailAddArgs& args, int32_t shift) {
    int16_t* __restrict a = args.a;
    const int16_t* __restrict b = args.b;
    for (int64_t i = 0; i < args.count; ++i)
      a[i] = gradient16(int64_t{a[i]} * args.by_a + int64_t{b[i]} * args.by_b, shift);
  }

  static void update(const TailUpdateArgs& args) {
    const int32_t* __restrict sums = args.sums;
    int8_t* __restrict weights = args.weights;
    for (int64_t i = 0; i < args.count; ++i) {
      const int64_t step = round_shift(int64_t{sums[i]} * args.mantissa, args.shift);
      const int64_t noisy = (step + noise16(args.key, args.first + static_cast<uint32_t>(i))) >> 16;
      weights[i] = static_cast<int8_t>(clamp(weights[i] - noisy, -127, 127));
    }
  }

  static constexpr TailKernels table(const char* name) {
    return {name,
            integers,
            levels_of,
            unpack,
            binarize,
            signs,
            activated<Codes, TailCodesArgs>,
            activated<Gradient, TailGradientArgs>,
            levels,
            input,
            most_of_estimate,
            estimate,
            most_of_add,
            add,
            update};
  }
};

}  // namespace
}  // namespace onebit
