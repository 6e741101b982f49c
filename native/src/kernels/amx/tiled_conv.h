// Convolution on tiles of bytes: what the binary and the int8 kernel share. A tile operation adds the products of 16
// pixels with 16 outputs, 64 terms deep, into 32-bit integers. No intrinsics here: `Isa` has the tile operations, and a
// test has them in plain C++.
//
// Rows of the image become bytes once, with their padding, in a strip in the kernel's own memory; then 16 outputs after
// the other are summed up over the whole strip, four tiles of pixels at a time, all terms in one go. Where terms are
// few, 64 outputs of a tile of pixels are summed instead (`wide`): the outputs, which are most of the work then, are
// written to neighbouring cache lines.
//
// Tile operations leave the vector units idle, and only a few of them wait in the core's queues. So the outputs of four
// tiles are written while the next four are summed: a group of pixels at a time, between the tile operations. What
// comes in larger lumps (more than some hundred instructions) is not hidden.
#pragma once

#include "kernels/amx/strip.h"
#include "kernels/vector/epilogue.h"

namespace onebit {
namespace {

constexpr int64_t kTileOutputs = 16;
constexpr int64_t kStepBytes = kTileRows * kTileBytes;  // a tile of weights: 64 terms of 16 outputs
constexpr int64_t kImageBytes = 56 * 1024;
constexpr int64_t kCloseBytes = 36 * 1024;  // image and weights of 16 outputs that stay in the first-level cache
constexpr int64_t kMaxSteps = 512;
constexpr int64_t kPanelSteps = 36;                        // up to which the weights of 16 outputs may stay as bytes
constexpr int64_t kRingSteps = 4;                          // else the weights of so many go round
constexpr int64_t kWideSteps = 4;                          // up to which a strip's sums may be wide
constexpr int64_t kMaxOutputs = kImageBytes / kTileBytes;  // pixels of a strip
constexpr int64_t kRound = 4 * kTileRows;                  // rows of 16 sums in the four tiles of a round

struct TileMemory {
  alignas(64) int8_t image[kImageBytes];
  alignas(64) int8_t panel[kPanelSteps][kStepBytes];
  alignas(64) int32_t dots[2 * kRound][kTileOutputs];
};

// Where the sums of neighbouring outputs lie.
struct Sums {
  const uint8_t* base;
  const uint16_t* places;

  const int32_t* operator[](int64_t i) const { return reinterpret_cast<const int32_t*>(base + places[i]); }
};

// `Conv` has: Args; kWide, whether sums may be wide; shape(s), the convolution as tiles see it, whose in_c is a
// multiple of 64; fill(args, strip, row, rows, image), the bytes of a strip from output row `row` on; Weights; Writer.
template <class Isa, class Conv>
class TiledConv {
  using Args = typename Conv::Args;

 public:
  static constexpr int64_t kOutputs = 32;  // per block: a word of bits

  // Whether a strip of one output row has room.
  static bool fits(const ConvShape& shape) {
    const ConvShape s = Conv::shape(shape);
    return steps_of(s) <= kMaxSteps && Strip(s, 1).bytes() <= kImageBytes;
  }

  // A unit is a row of one block of outputs, rows innermost.
  static int64_t units(const ConvShape& s) { return rows_of(s) * ((s.out_c + kOutputs - 1) / kOutputs); }

  static void run(const Args& args, int64_t begin, int64_t end) {
    const ConvShape s = Conv::shape(args.shape);
    const int64_t rows = rows_of(s);
    TileMemory memory;
    Output output(args, memory.dots[0]);
    Isa::configure();
    while (begin < end) {  // all rows of some blocks, or some rows of one
      const int64_t row = begin % rows, first = begin / rows * kOutputs;
      const int64_t blocks = row == 0 && end - begin > rows ? (end - begin) / rows : 1;
      const int64_t count = min(rows - row, end - begin);
      run_rows({args, s, memory, output, first, min(first + blocks * kOutputs, s.out_c)}, row, count);
      begin += blocks * count;
    }
    output.finish();
    Isa::release();
  }

 private:
  using Weights = typename Conv::Weights;
  using Writer = typename Conv::Writer;

  static int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }

  static int64_t steps_of(const ConvShape& s) { return taps_of(s) * s.in_c / kTileBytes; }

  static int64_t tiles_of(const Strip& strip, int64_t rows) { return (strip.length(rows) + kTileRows - 1) / kTileRows; }

  // The outputs that are summed and not yet written, all of the same channels.
  class Output {
   public:
    Output(const Args& args, const int32_t* dots) : args_(args), dots_(reinterpret_cast<const uint8_t*>(dots)) {}

    // The next outputs are of these channels and begin with this pixel; `places` says where their sums lie.
    void start(int64_t channel, int64_t pixel, bool wide, const uint16_t* places) {
      writer_ = Writer(args_, channel);
      pixel_ = pixel;
      wide_ = wide;
      places_ = places;
      next_ = before_ = end_ = 0;
    }

    // The first `count` of them are summed now; `last`: they are all.
    void add(int64_t count, bool last) {
      before_ = end_;
      end_ = count;
      last_ = last;
    }

    // The groups of pixels that are summed and not written.
    int64_t waiting() const { return (end_ - next_) / (wide_ ? kWideGroup : kGroup); }

    // Writes a group, if so many wait.
    [[gnu::always_inline]] inline void some() {
      if (Conv::kWide && wide_) {
        if (next_ + kWideGroup <= end_) write<kWideGroup, 4>();
      } else if (next_ + kGroup <= end_) {
        write<kGroup, 1>();
      }
    }

    // Writes all whole groups that wait. A rest of less than a group waits for the next round, unless it is the last or
    // from the round before, whose sums are about to be overwritten.
    void finish() {
      while (waiting() > 0) some();
      while (next_ < (last_ ? end_ : before_)) {
        if (Conv::kWide && wide_) {
          write<1, 4>();
        } else {
          write<1, 1>();
        }
      }
    }

   private:
    static constexpr int kGroup = 8, kWideGroup = 4;

    // Writes P pixels, 16 * Width outputs each.
    template <int P, int Width>
    [[gnu::always_inline]] inline void write() {
      writer_.template write<P, Width>(args_, Sums{dots_, places_ + next_}, pixel_ + next_);
      next_ += P;
    }

    const Args& args_;
    const uint8_t* dots_;
    Writer writer_;
    const uint16_t* places_ = nullptr;
    int64_t pixel_ = 0, next_ = 0, before_ = 0, end_ = 0;
    bool last_ = false, wide_ = false;
  };

  struct Task {
    const Args& args;
    const ConvShape& shape;
    TileMemory& memory;
    Output& output;
    int64_t first, last;  // outputs
  };

  // What all strips of up to `rows` rows have in common.
  struct Places {
    Places(const ConvShape& s, const Strip& strip, int64_t rows) {
      int32_t* step = steps;
      for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
        for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
          const int64_t tap = strip.offset(ky, kx);
          for (int64_t c = 0; c < s.in_c; c += kTileBytes) *step++ = static_cast<int32_t>(tap + c);
        }
      }
      for (int64_t width = 1; width <= 4; width += 3) {
        uint16_t* output = outputs[width == 4];
        for (int64_t y = 0; y < rows; ++y) {
          for (int64_t x = 0; x < s.out_w; ++x)
            *output++ = static_cast<uint16_t>((y * strip.pitch() + x) * width % (2 * kRound) * kTileOutputs * 4);
        }
      }
    }

    int32_t steps[kMaxSteps];          // where a step's terms of the strip's first pixel lie
    uint16_t outputs[2][kMaxOutputs];  // where an output's sums lie, also if they are wide
  };

  // Whether the weights of 16 outputs stay in memory as bytes.
  static bool keeps(const ConvShape& s, int64_t tiles) { return tiles > 4 && steps_of(s) <= kPanelSteps; }

  // How many rows a strip should have, of `count` successive ones.
  static int64_t best_rows(const ConvShape& s, int64_t count) {
    int64_t best = 1, least_cost = INT64_MAX;
    for (int64_t rows = 1; rows <= count; ++rows) {
      const Strip strip(s, rows);
      if (strip.bytes() > kImageBytes && rows > 1) break;
      const int64_t tiles = tiles_of(strip, rows), rest = count % rows;
      const int64_t panel = keeps(s, tiles) ? steps_of(s) : kRingSteps;
      int64_t cost = count / rows * cost_of(s, tiles) + (rest > 0 ? cost_of(s, tiles_of(strip, rest)) : 0);
      if (strip.bytes() + panel * kStepBytes > kCloseBytes) cost += cost / 4;
      if (cost <= least_cost) best = rows, least_cost = cost;
    }
    return best;
  }

  // The cost of a strip in tiles of pixels; to expand the weights of 16 outputs costs about one.
  static int64_t cost_of(const ConvShape& s, int64_t tiles) { return tiles + (keeps(s, tiles) ? 1 : (tiles + 3) / 4); }

  static void run_rows(const Task& task, int64_t row, int64_t count) {
    const ConvShape& s = task.shape;
    while (count > 0) {  // a sample's
      int64_t left = min(s.out_h - row % s.out_h, count);
      const int64_t rows = best_rows(s, left);
      const Strip strip(s, rows);
      const Places places(s, strip, rows);
      for (count -= left; left > 0; left -= rows, row += rows) run_strip(task, strip, places, row, min(left, rows));
      row += left;
      task.output.finish();  // which reads the places
    }
  }

  static void run_strip(const Task& task, const Strip& strip, const Places& places, int64_t row, int64_t rows) {
    const ConvShape& s = task.shape;
    TileMemory& memory = task.memory;
    Conv::fill(task.args, strip, row, rows, memory.image);
    const int64_t tiles = tiles_of(strip, rows), steps = steps_of(s);
    const bool kept = keeps(s, tiles);
    for (int64_t channel = task.first, width; channel < task.last; channel += width * kTileOutputs) {
      const bool wide = Conv::kWide && steps <= kWideSteps && task.last - channel >= 4 * kTileOutputs;
      width = wide ? 4 : 1;
      Weights weights(task.args.weight, channel / kTileOutputs, steps, memory.panel[0], kept);
      for (int64_t tile = 0, now; tile < tiles; tile += now) {
        now = wide ? 1 : min(tiles - tile, 4);
        const int8_t* image = memory.image + tile * kTileRows * s.in_c;
        int32_t* dots = memory.dots[tile * kTileRows * width % (2 * kRound)];
        weights.start(tile == 0 || !kept);
        if constexpr (Conv::kWide) {
          if (wide) sum<1, 4>(task, weights, image, places.steps, steps, dots);
        }
        if (!wide) {
          switch (now) {
            case 1: sum<1, 1>(task, weights, image, places.steps, steps, dots); break;
            case 2: sum<2, 1>(task, weights, image, places.steps, steps, dots); break;
            case 3: sum<3, 1>(task, weights, image, places.steps, steps, dots); break;
            default: sum<4, 1>(task, weights, image, places.steps, steps, dots);
          }
        }
        if (tile == 0) task.output.start(channel, row * s.out_w, wide, places.outputs[wide]);
        const int64_t summed = (tile + now) * kTileRows;
        const int64_t outputs = summed / strip.pitch() * s.out_w + min(summed % strip.pitch(), s.out_w);
        task.output.add(min(outputs, rows * s.out_w), tile + now == tiles);
      }
    }
  }

  // Sums up `Tiles` tiles of pixels for `Width` tiles of outputs, one of which is 1, and writes what waits meanwhile.
  // Tiles 0 to 3 are the sums, 4 and 5 the operand that changes from sum to sum, 6 the other.
  template <int Tiles, int Width>
  static void sum(const Task& task, Weights& weights, const int8_t* image, const int32_t* places, int64_t steps,
                  int32_t* dots) {
    constexpr int count = Tiles * Width;
    const int64_t pixel = task.shape.in_c, tile = kTileRows * pixel;
    const int64_t groups = task.output.waiting();
    int64_t due = 0;  // as many groups after each half of a step as after any other, times 2 * steps
    const auto write_some = [&] {
      for (due += groups; due >= 2 * steps; due -= 2 * steps) task.output.some();
    };
    start<0, count, Width>(weights);
    start<1, count, Width>(weights);
    start<2, count, Width>(weights);
    start<3, count, Width>(weights);
    for (int64_t step = 0; step < steps; ++step) {
      const int8_t* pixels = image + places[step];
      if constexpr (Width == 1) {
        Isa::template read<6>(weights.tile(step, 0), kTileBytes);
      } else {
        Isa::template read<6>(pixels, pixel);
      }
      add<0, count, Width>(weights, step, pixels, pixel, tile);
      add<1, count, Width>(weights, step, pixels, pixel, tile);
      write_some();
      add<2, count, Width>(weights, step, pixels, pixel, tile);
      add<3, count, Width>(weights, step, pixels, pixel, tile);
      weights.after(step);
      write_some();
    }
    task.output.finish();
    write<0, count, Width>(dots);
    write<1, count, Width>(dots);
    write<2, count, Width>(dots);
    write<3, count, Width>(dots);
  }

  template <int Sum, int Count, int Width>
  static void start(const Weights& weights) {
    if constexpr (Sum < Count) weights.template start_sums<Sum>(Width == 1 ? 0 : Sum);
  }

  template <int Sum, int Count, int Width>
  static void add(const Weights& weights, int64_t step, const int8_t* pixels, int64_t pixel, int64_t tile) {
    constexpr int Other = 4 + Sum % 2;
    if constexpr (Sum < Count && Width == 1) {
      Isa::template read<Other>(pixels + Sum * tile, pixel);
      Conv::template multiply<Sum, Other, 6>();
    } else if constexpr (Sum < Count) {
      Isa::template read<Other>(weights.tile(step, Sum), kTileBytes);
      Conv::template multiply<Sum, 6, Other>();
    }
  }

  template <int Sum, int Count, int Width>
  static void write(int32_t* dots) {
    constexpr int64_t next = Width == 1 ? kTileRows * kTileOutputs : kTileOutputs;
    if constexpr (Sum < Count) Isa::template write<Sum>(dots + Sum * next, Width * kTileOutputs * sizeof(int32_t));
  }
};

}  // namespace
}  // namespace onebit
