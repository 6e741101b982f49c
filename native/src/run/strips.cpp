#include "run/strips.h"

#include "kernels/shape.h"

namespace onebit {
namespace {

// Rows [first, last) of a sample's convolution, and the rows of the pool that read them.
struct Strip {
  int64_t sample, pool_first, pool_last, first, last;
};

Strip strip_at(const Step& pool, int32_t strip_rows, int64_t index) noexcept {
  const ConvShape& s = pool.shape;
  const int64_t count = strip_count(pool, strip_rows);
  Strip strip = {};
  strip.sample = index / count;
  strip.pool_first = index % count * strip_rows;
  strip.pool_last = strip.pool_first + strip_rows < s.out_h ? strip.pool_first + strip_rows : s.out_h;
  const int64_t top = strip.pool_first * s.stride_h - s.pad_top;
  const int64_t bottom = (strip.pool_last - 1) * s.stride_h - s.pad_top + s.kernel_h;
  strip.first = top > 0 ? top : 0;
  strip.last = bottom < s.in_h ? bottom : s.in_h;
  return strip;
}

// The shape of the strip's rows alone, and the input row at which it begins.
ConvShape conv_strip(const ConvShape& whole, const Strip& strip, int64_t& input_row) noexcept {
  ConvShape s = whole;
  s.batch = 1;
  s.out_h = static_cast<int32_t>(strip.last - strip.first);
  const int64_t top = strip.first * whole.stride_h - whole.pad_top;
  input_row = top > 0 ? top : 0;
  s.pad_top = static_cast<int32_t>(input_row - top);
  s.in_h = static_cast<int32_t>(whole.in_h - input_row);
  return s;
}

template <class Args>
void shift_conv(Args& args, const Strip& strip) noexcept {
  const ConvShape whole = args.shape;
  int64_t row = 0;
  args.shape = conv_strip(whole, strip, row);
  args.input += (strip.sample * whole.in_h + row) * whole.in_w * whole.in_c;
}

template <class Kernel, class Args>
void run_whole(const Kernel& kernel, const Args& args) noexcept {
  kernel.run(args, 0, kernel.units(args.shape));
}

void shift_pool(PoolArgs& args, const Strip& strip) noexcept {
  const int64_t pixels = (strip.sample * args.out_h + strip.pool_first) * args.out_w;
  args.output += pixels * args.channels;
  if (args.bits.words) args.bits.words += pixels * words_of(args.channels);
  args.pad_top = static_cast<int32_t>(strip.first - (strip.pool_first * args.stride_h - args.pad_top));
  args.pad_bottom = static_cast<int32_t>(args.in_h + args.pad_bottom - strip.last);
  args.in_h = static_cast<int32_t>(strip.last - strip.first);
  args.out_h = static_cast<int32_t>(strip.pool_last - strip.pool_first);
}

}  // namespace

int64_t strip_count(const Step& pool, int32_t strip_rows) noexcept {
  return (pool.shape.out_h + strip_rows - 1) / strip_rows;
}

int64_t strip_conv_rows(const Step& pool, int32_t strip_rows) noexcept {
  const int64_t rows = (int64_t{strip_rows} - 1) * pool.shape.stride_h + pool.shape.kernel_h;
  return rows < pool.shape.in_h ? rows : pool.shape.in_h;
}

void run_strips(const Step& conv, const Step& pool, const Kernels& kernels, const Bases& bases, int64_t begin,
                int64_t end) noexcept {
  const auto run_pool = pool.kind == StepKind::max_pool ? kernels.max_pool : kernels.average_pool;
  for (int64_t index = begin; index < end; ++index) {
    const Strip strip = strip_at(pool, conv.strip_rows, index);
    if (conv.kind == StepKind::float_conv) {
      FloatConvArgs args = float_conv_args(conv, bases, 1);
      shift_conv(args, strip);
      run_whole(kernels.float_conv[conv.kernel], args);
    } else {
      Int8ConvArgs args = int8_conv_args(conv, bases, 1);
      shift_conv(args, strip);
      run_whole(kernels.int8_conv[conv.kernel], args);
    }
    PoolArgs args = pool_args(pool, bases, 1);
    shift_pool(args, strip);
    run_pool(args, 0, args.out_h);
  }
}

}  // namespace onebit
