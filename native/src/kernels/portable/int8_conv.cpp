// The convolution of bytes on any CPU. The bytes under a window are widened to 16 bits, less the zero point, once per
// block of outputs; the sums of 16-bit products are left to the compiler, which knows the instruction for them (SSE2
// PMADDWD, NEON SMLAL).
//
// Packed weights: the zero point and 60 bytes of nothing, then int16 [output][term], the terms of an output filled up
// with zeros to a multiple of kGranule.
#include "kernels/portable/isa.h"
#include "kernels/portable/tables.h"
#include "kernels/vector/epilogue.h"
#include "kernels/vector/window.h"

namespace onebit::portable {
namespace {

constexpr int N = Portable::kLanes;
constexpr int64_t kGranule = 8, kHeader = 64;
constexpr int64_t kChunk = 512;   // terms widened at a time
constexpr int64_t kOutputs = 64;  // per block
using Int = Vector<N>::Int;

int64_t terms_of(const ConvShape& s) { return taps_of(s) * (s.in_c / s.groups); }

// The terms under a window, in the order of the weights.
class Terms {
 public:
  Terms(const ConvShape& shape, const uint8_t* corner, int32_t zero_point)
      : shape_(shape), corner_(corner), channels_(shape.in_c / shape.groups), zero_point_(zero_point) {}

  void next(int64_t count, int16_t* to) {
    while (count > 0) {
      const int64_t run = channels_ - channel_ < count ? channels_ - channel_ : count;
      const int64_t tap = (ky_ * shape_.dilation_h * shape_.in_w + kx_ * shape_.dilation_w) * shape_.in_c;
      const uint8_t* from = corner_ + tap + channel_;
      for (int64_t i = 0; i < run; ++i) to[i] = static_cast<int16_t>(from[i] - zero_point_);
      to += run;
      count -= run;
      channel_ += run;
      if (channel_ < channels_) continue;
      channel_ = 0;
      if (++kx_ < shape_.kernel_w) continue;
      kx_ = 0;
      ++ky_;
    }
  }

 private:
  const ConvShape& shape_;
  const uint8_t* corner_;
  int64_t channels_, channel_ = 0, kx_ = 0, ky_ = 0;
  int32_t zero_point_;
};

// Adds the products of `count` terms, a multiple of kGranule, with N outputs, whose weights are `stride` apart.
template <int P>
void add_products(const int16_t (&terms)[P][kChunk], int64_t count, const int16_t* weight, int64_t stride,
                  int32_t* const (&sums)[P]) {
  static_assert(N == 4);
  const int16_t *w0 = weight, *w1 = weight + stride, *w2 = weight + 2 * stride, *w3 = weight + 3 * stride;
  int32_t sum[P][N] = {};
  for (int64_t k = 0; k < count / kGranule * kGranule; ++k) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      sum[p][0] += terms[p][k] * w0[k];
      sum[p][1] += terms[p][k] * w1[k];
      sum[p][2] += terms[p][k] * w2[k];
      sum[p][3] += terms[p][k] * w3[k];
    }
  }
  for (int p = 0; p < P; ++p) {
    for (int i = 0; i < N; ++i) sums[p][i] += sum[p][i];
  }
}

// A run of outputs of one group; its weights.
struct Block {
  int64_t first, outputs, first_in;
  const int16_t* weight;
  int32_t zero_point;
};

template <int P>
void pixels(const Int8ConvArgs& args, const Block& block, WindowCursor& cursor, int64_t pixel) {
  const ConvShape& s = args.shape;
  const int64_t terms = terms_of(s), stride = round_up(terms, kGranule);
  int32_t sums[P][kOutputs] = {};
  const uint8_t* corner[P];
  for (int p = 0; p < P; ++p) corner[p] = args.input + cursor.next().position * s.in_c + block.first_in;
  Terms first(s, corner[0], block.zero_point), second(s, corner[P - 1], block.zero_point);
  for (int64_t begin = 0; begin < terms; begin += kChunk) {
    const int64_t count = terms - begin < kChunk ? terms - begin : kChunk, filled = round_up(count, kGranule);
    int16_t widened[P][kChunk];
    for (int p = 0; p < P; ++p) {
      (p == 0 ? first : second).next(count, widened[p]);
      for (int64_t i = count; i < filled; ++i) widened[p][i] = 0;
    }
    for (int64_t o = 0; o < block.outputs; o += N) {
      int32_t* to[P];
      for (int p = 0; p < P; ++p) to[p] = sums[p] + o;
      add_products<P>(widened, filled, block.weight + o * stride + begin, stride, to);
    }
  }
  for (int64_t o = 0; o < block.outputs; o += N) {
    Float<N> y[P];
    for (int p = 0; p < P; ++p) y[p] = __builtin_convertvector(load<Int>(sums[p] + o), Float<N>);
    finish<N>(args.epilogue, y, block.first + o, pixel * s.out_c + block.first + o, s.out_c, block.outputs - o,
              args.output);
  }
}

int64_t blocks_of(const ConvShape& s) { return s.groups * ((s.out_c / s.groups + kOutputs - 1) / kOutputs); }

bool fits(const ConvShape&) { return true; }

size_t pack_bytes(const ConvShape& s) {
  // Whole vectors of outputs are read, and the last group's may end within one.
  return static_cast<size_t>(kHeader + 2 * (s.out_c + N - 1) * round_up(terms_of(s), kGranule));
}

void pack(const ConvShape& s, int32_t zero_point, const int8_t* weight, void* packed) {
  std::memset(packed, 0, pack_bytes(s));
  std::memcpy(packed, &zero_point, sizeof zero_point);
  auto* to = reinterpret_cast<int16_t*>(static_cast<uint8_t*>(packed) + kHeader);
  const int64_t terms = terms_of(s);
  for (int64_t o = 0; o < s.out_c; ++o, to += round_up(terms, kGranule)) {
    for (int64_t i = 0; i < terms; ++i) to[i] = *weight++;
  }
}

// A unit is a row of one block of outputs, rows innermost.
int64_t units(const ConvShape& s) { return rows_of(s) * blocks_of(s); }

void run(const Int8ConvArgs& args, int64_t begin, int64_t end) {
  const ConvShape& s = args.shape;
  const auto* packed = static_cast<const uint8_t*>(args.weight);
  const auto* weight = reinterpret_cast<const int16_t*>(packed + kHeader);
  const int64_t rows = rows_of(s), per_group = s.out_c / s.groups;
  Block block = {};
  std::memcpy(&block.zero_point, packed, sizeof block.zero_point);
  for (; begin < end; begin = begin / rows * rows + rows) {  // the next block
    const int64_t index = begin / rows, blocks = (per_group + kOutputs - 1) / kOutputs;
    const int64_t within = index % blocks * kOutputs;
    block.first = index / blocks * per_group + within;
    block.outputs = per_group - within < kOutputs ? per_group - within : kOutputs;
    block.first_in = index / blocks * (s.in_c / s.groups);
    block.weight = weight + block.first * round_up(terms_of(s), kGranule);
    const int64_t from = begin % rows, to = end < (index + 1) * rows ? end - index * rows : rows;
    WindowCursor cursor(s, from);
    int64_t pixel = from * s.out_w;
    for (; pixel + 2 <= to * s.out_w; pixel += 2) pixels<2>(args, block, cursor, pixel);
    if (pixel < to * s.out_w) pixels<1>(args, block, cursor, pixel);
  }
}

}  // namespace

constexpr Int8ConvKernel general_int8_conv = {"portable int8", false, fits, pack_bytes, pack, units, run};

}  // namespace onebit::portable
