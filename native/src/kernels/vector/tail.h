// The passes of the teachable tail, as loops that the compiler vectorises in each instruction set's folder.
#pragma once

#include <cstring>
#include <type_traits>

#include "integer/noise.h"
#include "kernels/shape.h"
#include "kernels/tail.h"
#include "kernels/vector/level_product.h"

namespace onebit {
namespace {

struct TailPasses {
  static int64_t clamp(int64_t v, int64_t low, int64_t high) { return v < low ? low : v > high ? high : v; }

  // v / 2^shift to nearest, halves to even: half less one unit is added, and that unit where the floor is odd.
  class Rounding {
   public:
    explicit Rounding(int32_t shift)
        : shift_(shift), below_half_(shift ? (int64_t{1} << (shift - 1)) - 1 : 0), odd_(shift ? 1 : 0) {}
    int64_t operator()(int64_t v) const { return (v + below_half_ + ((v >> shift_) & odd_)) >> shift_; }
    int16_t gradient(int64_t v) const { return static_cast<int16_t>(clamp((*this)(v), -32767, 32767)); }

   private:
    int64_t shift_, below_half_, odd_;
  };

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

  template <bool Residual, class Sum>
  static int64_t z_of(const TailSums& z, int64_t m, Sum s, int64_t n, int64_t r) {
    int64_t sum = (sizeof(Sum) == 4 ? Rounding(8)(m * s) : m * s) + n;
    if (Residual) sum += int64_t{z.residual_factor} * (r - z.residual_zero);
    return clamp(sum, -INT32_MAX, INT32_MAX);
  }

  static const int16_t* sums_of(const TailSums& z, int16_t) { return z.sums; }
  static const int32_t* sums_of(const TailSums& z, int32_t) { return z.wide; }

  template <Activation F, bool Residual, class Sum>
  static void codes(const TailCodesArgs& args) {
    const TailSums z = args.z;
    const int32_t* __restrict m = z.m, * __restrict n = z.n, * __restrict a = z.a, * __restrict p = z.p;
    const int32_t zero = args.zero;
    const Rounding round(16);
    for (int64_t pixel = 0; pixel < z.pixels; ++pixel) {
      const Sum* __restrict s = sums_of(z, Sum{}) + pixel * z.channels;
      const uint8_t* __restrict r = Residual ? z.residual + pixel * z.channels : nullptr;
      uint8_t* __restrict to = args.output + pixel * z.channels;
      for (int64_t c = 0; c < z.channels; ++c) {
        const int64_t sum = z_of<Residual, Sum>(z, m[c], s[c], n[c], Residual ? r[c] : 0);
        int64_t y = sum;
        if (F == Activation::relu) y = sum < 0 ? 0 : sum;
        if (F == Activation::hardtanh) y = clamp(sum, -int64_t{z.limit}, z.limit);
        if (F == Activation::prelu) y = sum < 0 ? round(sum * a[c]) : sum;
        to[c] = static_cast<uint8_t>(clamp(round(y + p[c]) + zero, 0, 255));
      }
    }
  }

  template <Activation F, bool Residual, class Sum>
  static void gradient(const TailGradientArgs& given) {
    const TailGradientArgs args = given;
    const TailSums z = args.z;
    const int64_t channels = z.channels;
    const int32_t* __restrict m = z.m, * __restrict n = z.n, * __restrict a = z.a;
    int64_t* __restrict dm = args.dm, * __restrict dn = args.dn, * __restrict da = args.da, * __restrict dp = args.dp;
    int32_t* __restrict maxima = args.maxima;
    const Rounding round(16);
    for (int64_t pixel = 0; pixel < z.pixels; ++pixel) {
      const Sum* __restrict s = sums_of(z, Sum{}) + pixel * channels;
      const uint8_t* __restrict r = Residual ? z.residual + pixel * channels : nullptr;
      int16_t* __restrict gradient = args.gradient + pixel * channels;
      for (int64_t c = 0; c < channels; ++c) dp[c] += gradient[c];
      for (int64_t c = 0; c < channels && F != Activation::none; ++c) {
        const int32_t g = gradient[c];
        const int64_t sum = z_of<Residual, Sum>(z, m[c], s[c], n[c], Residual ? r[c] : 0);
        int32_t before = g;
        if (F == Activation::relu) before = sum < 0 ? 0 : g;
        if (F == Activation::hardtanh) before = sum < -int64_t{z.limit} || sum > z.limit ? 0 : g;
        if (F == Activation::prelu) {
          const int32_t scaled = round.gradient(int64_t{g} * a[c]), below = sum < 0 ? g : 0;
          da[c] += below * round(sum);
          before = sum < 0 ? scaled : g;
        }
        gradient[c] = static_cast<int16_t>(before);
      }
      for (int64_t c = 0; c < channels; ++c) {
        const int32_t before = gradient[c], size = before < 0 ? -before : before;
        dn[c] += before;
        dm[c] += std::conditional_t<sizeof(Sum) == 4, int64_t, int32_t>{before} * s[c];
        maxima[c] = size > maxima[c] ? size : maxima[c];
      }
    }
  }

  template <template <Activation, bool, class> class Pass, class Sum, class Args>
  static void activated(const Args& args) {
    const bool residual = args.z.residual != nullptr;
    switch (args.z.activation) {
      case Activation::none:
        return residual ? Pass<Activation::none, true, Sum>::run(args) : Pass<Activation::none, false, Sum>::run(args);
      case Activation::relu:
        return residual ? Pass<Activation::relu, true, Sum>::run(args) : Pass<Activation::relu, false, Sum>::run(args);
      case Activation::hardtanh:
        return residual ? Pass<Activation::hardtanh, true, Sum>::run(args)
                        : Pass<Activation::hardtanh, false, Sum>::run(args);
      case Activation::prelu:
        return residual ? Pass<Activation::prelu, true, Sum>::run(args)
                        : Pass<Activation::prelu, false, Sum>::run(args);
    }
  }
  template <template <Activation, bool, class> class Pass, class Args>
  static void summed(const Args& args) {
    args.z.wide ? activated<Pass, int32_t>(args) : activated<Pass, int16_t>(args);
  }
  template <Activation F, bool Residual, class Sum>
  struct Codes {
    static void run(const TailCodesArgs& args) { codes<F, Residual, Sum>(args); }
  };
  template <Activation F, bool Residual, class Sum>
  struct Gradient {
    static void run(const TailGradientArgs& args) { gradient<F, Residual, Sum>(args); }
  };

  static void levels(const TailLevelsArgs& given) {
    const TailLevelsArgs args = given;  // the bytes that are written could be these
    const int32_t* __restrict m = args.m;
    const int32_t right = args.shift < 0 ? 0 : args.shift, left = args.shift < 0 ? -args.shift : 0;
    const int64_t factor = int64_t{1} << left, inverse = args.inverse;
    for (int64_t pixel = 0; pixel < args.pixels; ++pixel) {
      const int16_t* __restrict gradient = args.gradient + pixel * args.channels;
      int8_t* __restrict to = args.output + pixel * args.channels;
      const uint32_t first = args.first + static_cast<uint32_t>(pixel * args.channels);
      for (int64_t c = 0; c < args.channels; ++c) {
        const int64_t h = ((int64_t{gradient[c]} * m[c]) >> right) * factor;
        const int64_t u = int64_t{noise16(args.key, first + static_cast<uint32_t>(c))} << 23;
        to[c] = static_cast<int8_t>((h * inverse + u) >> 39);
      }
    }
  }

  static void input(const TailInputArgs& args, int32_t shift, int16_t* __restrict to) {
    const int32_t* __restrict m = args.m;
    const Rounding round(shift);
    for (int64_t pixel = 0; pixel < args.pixels; ++pixel, to += args.channels) {
      const int16_t* __restrict gradient = args.gradient + pixel * args.channels;
      for (int64_t c = 0; c < args.channels; ++c) to[c] = round.gradient(int64_t{gradient[c]} * m[c]);
    }
  }

  // T of one channel.
  static int64_t estimated(const TailEstimateArgs& args, int32_t code, int32_t threshold, int32_t sum) {
    const int32_t from = (code - args.zero) * args.step - threshold, distance = from < 0 ? -from : from;
    const int32_t slope = args.quadratic ? 32768 - distance : 16384;
    return int64_t{sum} * (distance <= 32768 ? slope : 0);
  }

  static int64_t max_of_estimate(const TailEstimateArgs& given) {
    const TailEstimateArgs args = given;
    const int32_t* __restrict thresholds = args.thresholds;
    int64_t maximum = 0;
    for (int64_t pixel = 0; pixel < args.pixels; ++pixel) {
      const int32_t* __restrict sums = args.sums + pixel * args.channels;
      const uint8_t* __restrict codes = args.codes + pixel * args.channels;
      for (int64_t c = 0; c < args.channels; ++c) {
        const int64_t t = estimated(args, codes[c], thresholds[c], sums[c]), size = t < 0 ? -t : t;
        maximum = size > maximum ? size : maximum;
      }
    }
    return maximum;
  }

  static void estimate(const TailEstimateArgs& given, int32_t shift, int16_t* output) {
    const TailEstimateArgs args = given;
    const int32_t* __restrict thresholds = args.thresholds;
    const Rounding round(shift);
    for (int64_t pixel = 0; pixel < args.pixels; ++pixel) {
      const int32_t* __restrict sums = args.sums + pixel * args.channels;
      const uint8_t* __restrict codes = args.codes + pixel * args.channels;
      int16_t* __restrict to = output + pixel * args.channels;
      for (int64_t c = 0; c < args.channels; ++c)
        to[c] = round.gradient(estimated(args, codes[c], thresholds[c], sums[c]));
    }
  }

  static int64_t max_of_add(const TailAddArgs& given) {
    const TailAddArgs args = given;
    const int16_t* __restrict a = args.a, * __restrict b = args.b;
    int64_t maximum = 0;
    for (int64_t i = 0; i < args.count; ++i) {
      const int64_t t = int64_t{a[i]} * args.by_a + int64_t{b[i]} * args.by_b, size = t < 0 ? -t : t;
      maximum = size > maximum ? size : maximum;
    }
    return maximum;
  }

  static void add(const TailAddArgs& given, int32_t shift) {
    const TailAddArgs args = given;
    int16_t* __restrict a = args.a;
    const int16_t* __restrict b = args.b;
    const Rounding round(shift);
    for (int64_t i = 0; i < args.count; ++i)
      a[i] = round.gradient(int64_t{a[i]} * args.by_a + int64_t{b[i]} * args.by_b);
  }

  static void update(const TailUpdateArgs& given) {
    const TailUpdateArgs args = given;
    const Rounding round(args.shift);
    const int32_t* __restrict sums = args.sums;
    int8_t* __restrict weights = args.weights;
    for (int64_t i = 0; i < args.count; ++i) {
      const int64_t step = round(int64_t{sums[i]} * args.mantissa);
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
            summed<Codes, TailCodesArgs>,
            summed<Gradient, TailGradientArgs>,
            levels,
            input,
            max_of_estimate,
            estimate,
            max_of_add,
            add,
            update,
            LevelProduct::run};
  }
};

}  // namespace
}  // namespace onebit
