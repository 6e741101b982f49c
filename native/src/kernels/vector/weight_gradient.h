// The weights' gradient: lanes are output channels, each with 4 neighbouring pixels of a row, which are multiplied with
// 4 neighbouring signs of an input channel. kColumns columns stay in registers.
#pragma once

#include "kernels/training.h"
#include "kernels/vector/simd.h"

namespace onebit {
namespace {

template <class Isa>
class WeightGradient {
 public:
  static void quads(const QuadsArgs& args) {
    alignas(64) uint8_t some[4][N];
    for (int64_t v = 0; v * N < args.channels; ++v) {
      const uint8_t* from = args.levels + v * N;
      uint8_t* to = args.quads + v * args.quad_step;
      const int64_t channels = args.channels - v * N < N ? args.channels - v * N : N;
      for (int64_t x = 0; x < args.pixels; x += 4, from += 4 * args.channels, to += 4 * N) {
        if (channels == N && x + 4 <= args.pixels) {
          Isa::transpose(from, args.channels, to);
          continue;
        }
        std::memset(some, Isa::kCentre, sizeof(some));
        for (int64_t j = 0; j < 4 && x + j < args.pixels; ++j)
          std::memcpy(some[j], from + j * args.channels, static_cast<size_t>(channels));
        Isa::transpose(some[0], N, to);
      }
    }
  }

  static void planes(const PlanesArgs& args) {
    for (int64_t i = 0; i < args.size; i += kPlaneGranule) {
      for (int64_t c = 0; c < args.channels; c += 8) {
        const int64_t bits = args.channels - c < 8 ? args.channels - c : 8;
        for (int64_t at = i; at < i + kPlaneGranule; at += sizeof(Signs)) {
          const auto eight = load<Signs>(args.bits + c / 8 * args.size + at), inside = load<Signs>(args.inside + at);
          int8_t* to = args.planes + c * args.size + at;
          Signs bit = Signs{} + 1;
          for (int64_t b = 0; b < bits; ++b, to += args.size, bit += bit) {
            const Signs signs = ((Signs)((eight & bit) == bit) | 1) & inside;
            std::memcpy(to, &signs, sizeof(signs));
          }
        }
      }
    }
    for (int64_t c = 0; c < args.channels; ++c) {
      for (int64_t i = 0; i < args.sample; i += sizeof(Signs)) {
        const int8_t* from = args.planes + c * args.size + i;
        auto total = load<Signs>(args.totals + c * args.total_step + i);
        for (int64_t n = 0; n < args.samples; ++n, from += args.sample) total += load<Signs>(from);
        std::memcpy(args.totals + c * args.total_step + i, &total, sizeof(total));
      }
    }
  }

  static void run(const WeightGradientArgs& args) {
    int64_t v = 0;
    if constexpr (V > 1) {
      for (; v + V <= args.vectors; v += V) vectors<V>(args, v);
    }
    for (; v < args.vectors; ++v) vectors<1>(args, v);
  }

  // In blocks of channels and taps that are read in order and stay in the cache until they are turned.
  static void finish(const WeightFinishArgs& args, int64_t begin, int64_t end) {
    const int64_t columns = args.in_c * args.taps;
    for (int64_t v = begin; v < end; ++v) {
      const int64_t outputs = args.out_c - v * N < N ? args.out_c - v * N : N;
      for (int64_t first = 0; first < args.in_c; first += kChannels) {
        const int64_t channels = args.in_c - first < kChannels ? args.in_c - first : kChannels;
        for (int64_t tap = 0; tap < args.taps; tap += kTaps) {
          const int64_t taps = args.taps - tap < kTaps ? args.taps - tap : kTaps;
          float block[kTaps][kChannels][N];
          for (int64_t c = 0; c < channels; ++c) {
            for (int64_t t = 0; t < taps; ++t)
              gradient(args, v * columns, (first + c) * args.taps + tap + t, block[t][c]);
          }
          for (int64_t l = 0; l < outputs; ++l) {
            for (int64_t t = 0; t < taps; ++t) {
              float* to = args.output + ((v * N + l) * args.taps + tap + t) * args.in_c + first;
              if (channels == kChannels) {
                for (int64_t c = 0; c < kChannels; ++c) to[c] = block[t][c][l];
              } else {
                for (int64_t c = 0; c < channels; ++c) to[c] = block[t][c][l];
              }
            }
          }
        }
      }
    }
  }

 private:
  static constexpr int N = Isa::kLanes, V = Isa::kWeightVectors, C = Isa::kColumns;
  static constexpr int64_t kChannels = 16, kTaps = 9;

  static void gradient(const WeightFinishArgs& args, int64_t vector, int64_t column, float (&to)[N]) {
    const int32_t signs = args.signs[column];
    int32_t sums[N];
    for (int l = 0; l < N; ++l) sums[l] = Isa::kCentre * signs;
    for (int64_t t = 0; t < args.threads; ++t) {
      const int32_t* from = args.sums[t] + (vector + column) * N;
      for (int l = 0; l < N; ++l) sums[l] += from[l];
    }
    const double scale = args.scale, rest = args.minimum * signs;
    for (int l = 0; l < N; ++l) to[l] = static_cast<float>(scale * sums[l] + rest);
  }

  using Int = typename Vector<N>::Int;
  using Bytes = typename Isa::Bytes;
  using Signs = typename Vector<N>::Bytes;

  template <int W>
  static void vectors(const WeightGradientArgs& args, int64_t v) {
    int64_t column = 0;
    for (; column + C <= args.columns; column += C) columns<W, C>(args, v, column);
    for (; column < args.columns; ++column) columns<W, 1>(args, v, column);
  }

  template <int W, int K>
  static void columns(const WeightGradientArgs& args, int64_t v, int64_t column) {
    const int8_t* signs[K];
#pragma GCC unroll 16
    for (int k = 0; k < K; ++k) signs[k] = args.planes + args.offsets[column + k];
    const uint8_t* quad = args.quads + v * args.quad_step;
    for (int64_t done = 0; done < args.steps; done += Isa::kSteps) {
      const int64_t left = args.steps - done, count = left < Isa::kSteps ? left : Isa::kSteps;
      typename Isa::Sum sum[W][K];
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) {
#pragma GCC unroll 16
        for (int k = 0; k < K; ++k) Isa::clear(sum[w][k]);
      }
      const int64_t *start = args.starts + done, *const end = start + count;
#pragma GCC unroll 2
      for (; start < end; ++start, quad += 4 * N) {
        const int64_t offset = *start;
        Bytes levels[W];
#pragma GCC unroll 4
        for (int w = 0; w < W; ++w) levels[w] = Isa::centred(Isa::vector(quad + w * args.quad_step));
#pragma GCC unroll 16
        for (int k = 0; k < K; ++k) {
          const Bytes four = Isa::broadcast(signs[k] + offset);
#pragma GCC unroll 4
          for (int w = 0; w < W; ++w) Isa::multiply_add(sum[w][k], levels[w], four);
        }
      }
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) {
        int32_t* to = args.sums + ((v + w) * args.columns + column) * N;
#pragma GCC unroll 16
        for (int k = 0; k < K; ++k, to += N) {
          const Int total = load<Int>(to) + Isa::widened(sum[w][k]);
          std::memcpy(to, &total, sizeof(total));
        }
      }
    }
  }
};

}  // namespace
}  // namespace onebit
