// The elementwise passes of a fused unit, for the vectors of each instruction set's folder. Float vectors are only
// added, subtracted, multiplied, divided and compared, each rounded, so that all sets give the same bits.
#pragma once

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "integer/noise.h"
#include "kernels/fused.h"
#include "kernels/shape.h"
#include "kernels/vector/simd.h"

namespace onebit {
namespace {

// As many narrow integers as there are floats in a vector.
template <int N>
struct Narrow {
  typedef int16_t Short __attribute__((vector_size(N * 2)));
  typedef uint16_t Half __attribute__((vector_size(N * 2)));
  typedef uint8_t Byte __attribute__((vector_size(N)));
};

// An instruction set whose compilers widen and narrow vectors well enough.
template <class Isa>
struct Widening : Isa {
  static constexpr int N = Isa::kLanes;
  static typename Vector<N>::Int widen(typename Narrow<N>::Short v) {
    return __builtin_convertvector(v, typename Vector<N>::Int);
  }
  static typename Vector<N>::Unsigned widen(typename Narrow<N>::Half v) {
    return __builtin_convertvector(v, typename Vector<N>::Unsigned);
  }
  static typename Narrow<N>::Half narrow(typename Vector<N>::Unsigned v) {
    return __builtin_convertvector(v, typename Narrow<N>::Half);
  }
};

// Isa::outside(value, low, high) has a bit 1 for each lane outside the interval; Isa::widen makes 32 bits of 16, and
// Isa::narrow 16 of 32, none of which is above 65535.
template <class Isa>
class Fused {
 public:
  static constexpr FusedKernels table(const char* name, const SignConvKernel& convolve = {}) {
    return {name, convolve, dots, dot_sums, passes<float>(), passes<Bfloat16>()};
  }

 private:
  static constexpr int N = Isa::kLanes;
  using F = Float<N>;
  using Int = typename Vector<N>::Int;
  using Unsigned = typename Vector<N>::Unsigned;
  using Short = typename Narrow<N>::Short;
  using Half = typename Narrow<N>::Half;
  using Byte = typename Narrow<N>::Byte;

  template <class Store>
  static constexpr FusedPasses<Store> passes() {
    return {signs<Store>,    normalize<Store>, statistics<Store>, range<Store>, levels<Store>,
            estimate<Store>, back<Store>,      means<Store>,      spread<Store>};
  }

  // ---- vectors: `count` lanes are real ------------------------------------------------------------------------------

  static F get(const float* from, int64_t count) { return load<F>(from, count); }

  static F get(const Bfloat16* from, int64_t count) {
    const auto upper = load<Half>(reinterpret_cast<const uint16_t*>(from), count);
    return (F)(Isa::widen(upper) << 16);
  }

  static F get(const int16_t* from, int64_t count) {
    return __builtin_convertvector(Isa::widen(load<Short>(from, count)), F);
  }

  static void put(float* to, F value, int64_t count) { store(to, value, count); }

  // To nearest, ties to even.
  static void put(Bfloat16* to, F value, int64_t count) {
    const auto bits = (Unsigned)value;
    Unsigned upper = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    upper = value == value ? upper : Unsigned{} + 0x7fc0u;
    store(reinterpret_cast<uint16_t*>(to), Isa::narrow(upper), count);
  }

  // `value` as it is read back after it was stored.
  static F stored(F value, const float*) { return value; }
  static F stored(F value, const Bfloat16*) {
    const auto bits = (Unsigned)value;
    const Unsigned upper = bits + 0x7fffu + (bits >> 16 & 1u);
    return (F)(upper & 0xffff0000u);
  }

  static F absolute(F x) { return (F)((Unsigned)x & 0x7fffffffu); }
  static F larger(F a, F b) { return a > b ? a : b; }
  static F smaller(F a, F b) { return a < b ? a : b; }
  static F all(float value) { return F{} + value; }
  static F optional(const float* from, int64_t channel, int64_t count, float otherwise) {
    return from ? get(from + channel, count) : all(otherwise);
  }

  // To nearest, ties to even; 0 <= x.
  static F rounded(F x) {
    const F magic = all(0x1p23f);
    return x < magic ? x + magic - magic : x;
  }

  // e^x for -87 <= x <= 0, to a few units of the last place: 2^k e^r by a polynomial in r.
  static F exponential(F x) {
    x = larger(x, all(-87.0f));
    const F k = all(0.0f) - rounded(x * all(-1.44269504f));
    const F r = x - k * all(0.693359375f) - k * all(-2.12194440e-4f);
    F p = r * all(1.9875691500e-4f) + all(1.3981999507e-3f);
    p = p * r + all(8.3334519073e-3f);
    p = p * r + all(4.1665795894e-2f);
    p = p * r + all(1.6666665459e-1f);
    p = p * r + all(5.0000001201e-1f);
    p = p * r * r + r + all(1.0f);
    return p * (F)((__builtin_convertvector(k, Int) + 127) << 23);
  }

  // Calls work(channel, count) for each vector of channels; `count` is a constant where it is whole.
  template <class Work>
  [[gnu::always_inline]] static void vectors(int64_t channels, const Work& work) {
    int64_t c = 0;
    for (; c + N <= channels; c += N) work(c, int64_t{N});
    if (c < channels) work(c, channels - c);
  }

  // ---- signs --------------------------------------------------------------------------------------------------------

  // The bits of the N channels from `channel` on into their word, which the first of them begins.
  static void put_bits(uint32_t* words, int64_t channel, int64_t count, uint32_t outside) {
    const uint32_t real = count >= N ? outside : outside & ((1u << count) - 1);
    uint32_t* word = words + channel / 32;
    *word = channel % 32 == 0 ? real : *word | real << channel % 32;
  }

  template <class Store>
  static void signs(const SignArgs<Store>& args) {
    const SignArgs<Store> a = args;
    const int64_t words = words_of(a.channels);
    const F infinity = all(INFINITY);
    vectors(
        a.channels, [&](int64_t c, int64_t count) __attribute__((always_inline)) {
          const F threshold = optional(a.threshold, c, count, a.base);
          const Store* x = a.x + c;
          uint32_t* bits = a.bits;
          for (int64_t p = 0; p < a.pixels; ++p, x += a.channels, bits += words)
            put_bits(bits, c, count, Isa::outside(get(x, count), threshold, infinity));
        });
  }

  // ---- forward ------------------------------------------------------------------------------------------------------

  static void dots(const float* from, int64_t count, int16_t* y) {
    vectors(
        count, [&](int64_t i, int64_t some) __attribute__((always_inline)) {
          const Int dot = __builtin_convertvector(load<F>(from + i, some), Int);
          store(y + i, __builtin_convertvector(dot, Short), some);
        });
  }

  static void dot_sums(const DotSumsArgs& a) {
    vectors(
        a.channels, [&](int64_t c, int64_t count) __attribute__((always_inline)) {
          const int16_t* y = a.y + c;
          for (int64_t left = a.pixels; left > 0;) {
            const int64_t some = left < a.squares ? left : a.squares;
            Int sum = {}, squares = {};
            for (int64_t p = 0; p < some; ++p, y += a.channels) {
              const Int dot = Isa::widen(load<Short>(y, count));
              sum += dot;
              squares += dot * dot;
            }
            for (int64_t i = 0; i < count; ++i) {
              a.sums[c + i] += sum[i];
              a.sums[a.channels + c + i] += squares[i];
            }
            left -= some;
          }
        });
  }

  template <class Store>
  static void normalize(const NormalizeArgs<Store>& a) {
    switch (a.activation) {
      case UnitActivation::none: return normalize<Store, UnitActivation::none>(a);
      case UnitActivation::hardtanh: return normalize<Store, UnitActivation::hardtanh>(a);
      case UnitActivation::rprelu: return normalize<Store, UnitActivation::rprelu>(a);
    }
  }

  template <class Store, UnitActivation A>
  static void normalize(const NormalizeArgs<Store>& a) {
    a.residual ? normalize<Store, A, true>(a) : normalize<Store, A, false>(a);
  }

  template <class Store, UnitActivation A, bool Residual>
  static void normalize(const NormalizeArgs<Store>& args) {
    const NormalizeArgs<Store> a = args;
    const int64_t words = words_of(a.channels), channels = a.channels;
    const F infinity = all(INFINITY);
    vectors(
        channels, [&](int64_t c, int64_t count) __attribute__((always_inline)) {
          const F slope = get(a.slope + c, count), offset = get(a.offset + c, count);
          const F threshold = optional(a.threshold, c, count, 0.0f);
          F gamma = {}, beta = {}, zeta = {};
          if constexpr (A == UnitActivation::rprelu) {
            gamma = get(a.parameters + c, count);
            beta = get(a.parameters + channels + c, count);
            zeta = get(a.parameters + 2 * channels + c, count);
          }
          uint32_t* bits = a.bits;
          for (int64_t p = 0, i = c; p < a.pixels; ++p, i += channels) {
            F z = get(a.y + i, count) * slope + offset;
            if constexpr (Residual) z = z + get(a.residual + i, count);
            if (a.z) put(a.z + i, z, count);
            F x = z;
            if constexpr (A == UnitActivation::hardtanh) x = clamped(z);
            if constexpr (A == UnitActivation::rprelu) {
              const F shifted = z - gamma;
              x = (shifted > F{} ? shifted : shifted * beta) + zeta;
            }
            if (bits) {
              put_bits(bits, c, count, Isa::outside(x, threshold, infinity));
              bits += words;
            }
            if (a.x) put(a.x + i, A == UnitActivation::hardtanh ? clamped(z, a.x) : x, count);
          }
        });
  }

  // NaN, second in both, stays.
  static F clamped(F z) { return smaller(all(1.0f), larger(all(-1.0f), z)); }

  // Hardtanh as stored: rounding may not bring an inner value to the border, which would close the gradient's mask.
  static F clamped(F z, const float*) { return clamped(z); }
  static F clamped(F z, const Bfloat16*) {
    const F size = absolute(z), before = all(0.99609375f);  // the bfloat16 before 1
    const F limited = smaller(size < all(1.0f) ? before : all(1.0f), size);
    return (F)((Unsigned)limited | ((Unsigned)z & 0x80000000u));
  }

  template <class Store>
  static SampleStatistics statistics(const Store* x, int64_t count) {
    F low = all(INFINITY), high = all(-INFINITY);
    const double sum = total(
        x, count, [&](F v, int64_t some) __attribute__((always_inline)) {
          if (some == N) {
            low = smaller(v, low), high = larger(v, high);
          } else {
            for (int64_t i = 0; i < some; ++i)
              low[i] = v[i] < low[i] ? v[i] : low[i], high[i] = v[i] > high[i] ? v[i] : high[i];
          }
          return v;
        });
    const F mean = all(static_cast<float>(sum / static_cast<double>(count)));
    const double squares = total(
        x, count, [&](F v, int64_t) __attribute__((always_inline)) {
          const F centred = v - mean;
          return centred * centred;
        });
    SampleStatistics result = {sum, squares, INFINITY, -INFINITY};
    for (int i = 0; i < N; ++i) {
      if (static_cast<double>(low[i]) < result.minimum) result.minimum = static_cast<double>(low[i]);
      if (static_cast<double>(high[i]) > result.maximum) result.maximum = static_cast<double>(high[i]);
    }
    result.minimum += 0.0, result.maximum += 0.0;  // which of two equal zeros came first is chance: both are +0
    return result;
  }

  // Pixels are added row by row.
  template <class Store>
  static void means(const MeansArgs<Store>& args) {
    const MeansArgs<Store> a = args;
    const int64_t wide = a.before + a.channels + a.after;
    const F size = all(static_cast<float>(a.side * a.side));
    if (wide > a.channels) std::fill_n(a.output, a.columns * wide, Store{});
    vectors(
        a.channels, [&](int64_t c, int64_t count) __attribute__((always_inline)) {
          for (int64_t p = 0; p < a.columns; ++p) {
            F sum = {};
            for (int64_t i = 0; i < a.side; ++i)
              for (int64_t j = 0; j < a.side; ++j)
                sum = sum + get(a.x + (i * a.row + p * a.side + j) * a.channels + c, count);
            put(a.output + p * wide + a.before + c, sum / size, count);
          }
        });
  }

  template <class Store>
  static void spread(const SpreadArgs<Store>& args) {
    const SpreadArgs<Store> a = args;
    const int64_t wide = a.before + a.channels + a.after;
    const F size = all(static_cast<float>(a.side * a.side));
    vectors(
        a.channels, [&](int64_t c, int64_t count) __attribute__((always_inline)) {
          for (int64_t p = 0; p < a.columns; ++p) {
            const F each = get(a.gradient + p * wide + a.before + c, count) / size;
            for (int64_t i = 0; i < a.side; ++i)
              for (int64_t j = 0; j < a.side; ++j)
                put(a.output + (i * a.row + p * a.side + j) * a.channels + c, each, count);
          }
        });
  }

  // The sum of f(x) in an order that no instruction set changes: 16 sums of every 16th, which are added to 16 doubles
  // every 4096 elements.
  template <class Store, class Function>
  [[gnu::always_inline]] static double total(const Store* x, int64_t count, const Function& f) {
    constexpr int kChains = 16, kVectors = kChains / N;
    double sums[kChains] = {};
    for (int64_t begin = 0; begin < count; begin += 4096) {
      const int64_t end = count - begin < 4096 ? count : begin + 4096;
      F partial[kVectors] = {};
      int64_t i = begin;
      for (; i + kChains <= end; i += kChains) {
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) partial[v] = partial[v] + f(get(x + i + v * N, N), int64_t{N});
      }
      for (int v = 0; i < end; ++v, i += N) {
        const int64_t some = end - i < N ? end - i : N;
        const F value = f(get(x + i, some), some);
        for (int64_t j = 0; j < some; ++j) partial[v][j] = partial[v][j] + value[j];
      }
      for (int j = 0; j < kChains; ++j) sums[j] += static_cast<double>(partial[j / N][j % N]);
    }
    double sum = 0;
    for (const double part : sums) sum += part;
    return sum;
  }

  // ---- backward -----------------------------------------------------------------------------------------------------

  // The gradient of the dot products in one vector of channels.
  template <class Store>
  struct Gradient {
    Gradient(const UnitGradient<Store>& g, int64_t c, int64_t count)
        : dz(g.dz),
          y(g.y),
          count(count),
          k1(get(g.k + c, count)),
          k2(get(g.k + g.channels + c, count)),
          k3(get(g.k + 2 * g.channels + c, count)) {}

    F at(int64_t i) const { return get(dz + i, count) * k1 + (get(y + i, count) * k2 + k3); }

    const Store* dz;
    const int16_t* y;
    int64_t count;
    F k1, k2, k3;
  };

  template <class Store>
  static GradientRange range(const UnitGradient<Store>& g) {
    GradientRange result = {INFINITY, -INFINITY};
    bool finite = true;
    vectors(
        g.channels, [&](int64_t c, int64_t count) __attribute__((always_inline)) {
          const Gradient<Store> gradient(g, c, count);
          F low = gradient.at(c), high = low, poison = {};
          for (int64_t p = 0, i = c; p < g.pixels; ++p, i += g.channels) {
            const F v = gradient.at(i);
            low = smaller(v, low);
            high = larger(v, high);
            poison = poison + v * all(0.0f);  // NaN from the first that is not finite on
          }
          for (int64_t i = 0; i < count; ++i) {
            result.minimum = low[i] < result.minimum ? low[i] : result.minimum;
            result.maximum = high[i] > result.maximum ? high[i] : result.maximum;
            finite = finite && poison[i] == 0.0f;
          }
        });
    return finite ? result : GradientRange{NAN, NAN};
  }

  // 32 bits, of which two pixels get 16 each.
  static Unsigned noise(Unsigned index, uint32_t seed) {
    Unsigned h = index * kNoiseStep + seed;
    h ^= h >> 16;
    h *= 0x7feb352du;
    h ^= h >> 15;
    h *= 0x846ca68bu;
    return h ^ h >> 16;
  }

  template <class Store>
  static void levels(const UnitLevelsArgs<Store>& args) {
    const UnitLevelsArgs<Store> a = args;
    const UnitGradient<Store> g = a.gradient;
    const F minimum = all(a.minimum), inverse = all(a.inverse), max_level = all(static_cast<float>(a.levels));
    Unsigned lane;
    for (int i = 0; i < N; ++i) lane[i] = static_cast<uint32_t>(i);
    vectors(
        g.channels, [&](int64_t c, int64_t count) __attribute__((always_inline)) {
          const Gradient<Store> gradient(g, c, count);
          Unsigned index = lane + static_cast<uint32_t>(a.first + c);
          const auto level = [&](int64_t i, Unsigned bits) __attribute__((always_inline)) {
            const F u = __builtin_convertvector((Int)bits, F) * all(0x1p-16f);
            F q = (gradient.at(i) - minimum) * inverse + u;
            q = larger(q, F{});  // NaN too
            q = smaller(q, max_level);
            store(a.output + i, __builtin_convertvector(__builtin_convertvector(q, Int), Byte), count);
          };
          int64_t p = 0, i = c;
          for (; p + 2 <= g.pixels; p += 2, i += 2 * g.channels, index += static_cast<uint32_t>(g.channels)) {
            const Unsigned bits = noise(index, a.seed);
            level(i, bits & 0xffffu);
            level(i + g.channels, bits >> 16);
          }
          if (p < g.pixels) level(i, noise(index, a.seed) & 0xffffu);
        });
  }

  template <class Store>
  static void estimate(const EstimateArgs<Store>& a) {
    switch (a.estimator) {
      case SignEstimator::none: return estimate<Store, SignEstimator::none>(a);
      case SignEstimator::clipped: return estimate<Store, SignEstimator::clipped>(a);
      case SignEstimator::quadratic: return estimate<Store, SignEstimator::quadratic>(a);
      case SignEstimator::tanh: return estimate<Store, SignEstimator::tanh>(a);
      case SignEstimator::swish: return estimate<Store, SignEstimator::swish>(a);
      case SignEstimator::cyclic: return estimate<Store, SignEstimator::cyclic>(a);
    }
  }

  template <class Store, SignEstimator E>
  static void estimate(const EstimateArgs<Store>& a) {
    if (a.coupled) return estimate<Store, E, true, true>(a);
    a.x ? estimate<Store, E, true, false>(a) : estimate<Store, E, false, false>(a);
  }

  template <class Store, SignEstimator E, bool Stored, bool Coupled>
  static void estimate(const EstimateArgs<Store>& args) {
    const EstimateArgs<Store> a = args;
    const F scale = all(a.scale);
    vectors(
        a.channels, [&](int64_t c, int64_t count) __attribute__((always_inline)) {
          const F threshold = optional(a.threshold, c, count, 0.0f);
          F slope = {}, rest = {};
          if constexpr (!Stored && E != SignEstimator::none) {
            slope = get(a.front_slope + c, count);
            rest = get(a.front_offset + c, count);
          }
          F threshold_sum = a.threshold_sums ? get(a.threshold_sums + c, count) : F{};
          F coupling = {};
          if constexpr (Coupled) coupling = get(a.coupling + c, count);
          float* sums = a.sums + c;
          int64_t i = c;
          for (const ShiftRun* run = a.runs; run < a.runs + a.count; ++run) {
            const F shift = get(a.shift + run->at + c, count), offset = get(a.offset + run->at + c, count);
            for (int64_t p = 0; p < run->pixels; ++p, i += a.step, sums += a.channels) {
              F d = (load<F>(sums, count) - shift) * scale + offset;
              if constexpr (E != SignEstimator::none || Coupled) {
                F x;
                if constexpr (Stored) {
                  x = get(a.x + i, count);
                } else {
                  x = get(a.front_y + i, count) * slope + rest;
                }
                F u = x - threshold;
                if constexpr (Coupled) u = x / all(a.deviation);
                if constexpr (E != SignEstimator::none) d = derivative<E>(u, a) * d;
                if constexpr (Coupled) coupling = coupling + d * x;
              }
              threshold_sum = threshold_sum - d;
              put(sums, d, count);
            }
          }
          if (a.threshold_sums) put(a.threshold_sums + c, threshold_sum, count);
          if constexpr (Coupled) put(a.coupling + c, coupling, count);
        });
  }

  template <SignEstimator E, class Args>
  static F derivative(F u, const Args& a) {
    const F zero = {}, one = all(1.0f), two = all(2.0f);
    if constexpr (E == SignEstimator::clipped) return absolute(u) <= one ? one : zero;
    if constexpr (E == SignEstimator::cyclic) {
      const F minimum = all(a.a), step = all(a.b);
      F q = (u - minimum) / step;
      q = larger(q, zero);
      q = smaller(q, all(a.levels));
      u = rounded(q) * step + minimum;
    }
    if constexpr (E == SignEstimator::cyclic || E == SignEstimator::quadratic)
      return larger(two - two * absolute(u), zero);
    if constexpr (E == SignEstimator::tanh) {
      const F e = exponential(-two * absolute(u * all(a.b))), sum = one + e;
      return all(a.a) * (all(4.0f) * e / (sum * sum));
    }
    if constexpr (E == SignEstimator::swish) {
      const F size = absolute(u * all(a.b)), e = exponential(-size), sum = one + e;
      return all(a.a) * (two - size * ((one - e) / sum)) * (two * e / (sum * sum));
    }
    return one;
  }

  template <class Store>
  static void back(const BackArgs<Store>& a) {
    switch (a.activation) {
      case UnitActivation::none: return back<Store, UnitActivation::none>(a);
      case UnitActivation::hardtanh: return back<Store, UnitActivation::hardtanh>(a);
      case UnitActivation::rprelu: return back<Store, UnitActivation::rprelu>(a);
    }
  }

  template <class Store, UnitActivation A>
  static void back(const BackArgs<Store>& a) {
    a.x ? back<Store, A, true>(a) : back<Store, A, false>(a);
  }

  template <class Store, UnitActivation A, bool Stored>
  static void back(const BackArgs<Store>& args) {
    const BackArgs<Store> a = args;
    vectors(
        a.channels, [&](int64_t c, int64_t count) __attribute__((always_inline)) {
          F gamma = {}, beta = {}, slope = {}, offset = {}, mean = {}, sums[4] = {};
          if constexpr (A == UnitActivation::rprelu) {
            gamma = get(a.parameters + c, count);
            beta = get(a.parameters + a.row + c, count);
          }
          if constexpr (!Stored && A == UnitActivation::hardtanh) {
            slope = get(a.slope + c, count);
            offset = get(a.offset + c, count);
          }
          const bool summed = a.sums != nullptr;
          if (summed) {
            mean = get(a.mean + c, count);
            for (int k = 0; k < 4; ++k) sums[k] = get(a.sums + k * a.row + c, count);
          }
          const F inverse = all(a.inverse), sample_mean = all(a.sample_mean), share = all(a.share);
          const float* d = a.d + c;
          for (int64_t p = 0, i = c; p < a.pixels; ++p, i += a.step) {
            F g;
            if (a.d) {
              g = load<F>(d, count);
              d += a.channels;
              if constexpr (Stored) {
                if (a.coupled) g = g * inverse - (get(a.x + i, count) - sample_mean) * share;
              }
            } else {
              g = get(a.gradient + i, count);
            }
            if (a.shortcut) g = g + get(a.shortcut + i, count);
            F dz = g;
            if constexpr (A == UnitActivation::hardtanh) {
              F x;
              if constexpr (Stored) {
                x = get(a.x + i, count);
              } else {
                x = get(a.y + i, count) * slope + offset;
              }
              dz = absolute(x) < all(1.0f) ? g : g * F{};  // a NaN stays
            }
            if constexpr (A == UnitActivation::rprelu) {
              const F shifted = get(a.z + i, count) - gamma;
              dz = shifted > F{} ? g : g * beta;
              sums[2] = sums[2] + g;
              sums[3] = sums[3] + (shifted > F{} ? F{} : g * shifted);
            }
            put(a.output + i, dz, count);
            if (summed) {
              dz = stored(dz, a.output);
              sums[0] = sums[0] + dz;
              sums[1] = sums[1] + dz * (get(a.y + i, count) - mean);
            }
          }
          if (summed) {
            for (int k = 0; k < 4; ++k) put(a.sums + k * a.row + c, sums[k], count);
          }
        });
  }
};

}  // namespace
}  // namespace onebit
