#include "run/step.h"

#include <cstring>

#include "kernels/shape.h"

namespace onebit {
namespace {

template <class Element>
Element* write(const Address& address, const Bases& bases) noexcept {
  if (address.base == Base::nowhere) return nullptr;
  uint8_t* base = address.base == Base::scratch ? bases.scratch : bases.arena;
  return reinterpret_cast<Element*>(base + address.offset);
}

// A step's addresses as pointers: the arguments of its kernel.

ConvShape shape_of(const Step& step, int32_t batch) noexcept {
  ConvShape shape = step.shape;
  shape.batch = batch;
  return shape;
}

Epilogue epilogue(const Step& step, const Bases& bases) noexcept {
  return {read<float>(step.scale, bases), read<float>(step.bias, bases), read<float>(step.residual, bases),
          read<float>(step.slope, bases), read<float>(step.post, bases), step.activation};
}

// The bits that are written beside floats.
Bits bits(const Step& step, const Bases& bases) noexcept {
  if (step.bits_interval.base == Base::nowhere) return {};
  return {write<uint32_t>(step.bits, bases), read<float>(step.bits_interval, bases)};
}

FloatConvArgs float_conv_args(const Step& step, const Bases& bases, int32_t batch) noexcept {
  return {shape_of(step, batch), read<float>(step.input, bases), read<void>(step.weight, bases), epilogue(step, bases),
          write<float>(step.output, bases)};
}

BinaryConvArgs binary_conv_args(const Step& step, const Bases& bases, int32_t batch) noexcept {
  const bool alone = step.interval.base != Base::nowhere;
  return {shape_of(step, batch),
          step.pad_value,
          read<uint32_t>(step.input, bases),
          read<void>(step.weight, bases),
          epilogue(step, bases),
          read<int32_t>(step.interval, bases),
          write<float>(step.output, bases),
          alone ? write<uint32_t>(step.bits, bases) : nullptr,
          bits(step, bases)};
}

Int8ConvArgs int8_conv_args(const Step& step, const Bases& bases, int32_t batch) noexcept {
  return {shape_of(step, batch), read<uint8_t>(step.input, bases), read<void>(step.weight, bases),
          epilogue(step, bases), write<float>(step.output, bases)};
}

QuantizeArgs quantize_args(const Step& step, const Bases& bases, int32_t batch) noexcept {
  const ConvShape& s = step.shape;
  return {batch,
          s.in_h,
          s.in_w,
          s.in_c,
          s.pad_top,
          s.pad_left,
          step.pad_bottom,
          step.pad_right,
          step.multiplier,
          step.zero_point,
          read<float>(step.input, bases),
          write<uint8_t>(step.output, bases)};
}

BinarizeArgs binarize_args(const Step& step, const Bases& bases) noexcept {
  return {step.shape.in_w, step.shape.in_c, read<float>(step.input, bases), read<float>(step.interval, bases),
          write<uint32_t>(step.bits, bases)};
}

PointwiseArgs pointwise_args(const Step& step, const Bases& bases) noexcept {
  return {step.shape.in_w,
          step.shape.in_c,
          read<float>(step.input, bases),
          epilogue(step, bases),
          write<float>(step.output, bases),
          bits(step, bases)};
}

PoolArgs pool_args(const Step& step, const Bases& bases, int32_t batch) noexcept {
  const ConvShape& s = step.shape;
  return {batch,
          s.in_h,
          s.in_w,
          s.in_c,
          s.out_h,
          s.out_w,
          s.kernel_h,
          s.kernel_w,
          s.stride_h,
          s.stride_w,
          s.pad_top,
          s.pad_left,
          step.pad_bottom,
          step.pad_right,
          step.count_padding != 0,
          read<float>(step.input, bases),
          write<float>(step.output, bases),
          bits(step, bases)};
}

// A convolution and the pool that alone reads it, one row block after the other: the convolution's output stays in a
// cache and never exists as a whole. Neighbouring blocks compute twice the rows that both pools read.

int64_t row_block_count(const Step& pool, int32_t block_rows) noexcept {
  return (pool.shape.out_h + block_rows - 1) / block_rows;
}

// Rows [first, last) of a sample's convolution, and the rows of the pool that read them.
struct RowBlock {
  int64_t sample, pool_first, pool_last, first, last;
};

RowBlock row_block_at(const Step& pool, int32_t block_rows, int64_t index) noexcept {
  const ConvShape& s = pool.shape;
  const int64_t count = row_block_count(pool, block_rows);
  RowBlock block = {};
  block.sample = index / count;
  block.pool_first = index % count * block_rows;
  block.pool_last = block.pool_first + block_rows < s.out_h ? block.pool_first + block_rows : s.out_h;
  const int64_t top = block.pool_first * s.stride_h - s.pad_top;
  const int64_t bottom = (block.pool_last - 1) * s.stride_h - s.pad_top + s.kernel_h;
  block.first = top > 0 ? top : 0;
  block.last = bottom < s.in_h ? bottom : s.in_h;
  return block;
}

// The shape of the block's rows alone, and the input row at which it begins.
ConvShape conv_block(const ConvShape& whole, const RowBlock& block, int64_t& input_row) noexcept {
  ConvShape s = whole;
  s.batch = 1;
  s.out_h = static_cast<int32_t>(block.last - block.first);
  const int64_t top = block.first * whole.stride_h - whole.pad_top;
  input_row = top > 0 ? top : 0;
  s.pad_top = static_cast<int32_t>(input_row - top);
  s.in_h = static_cast<int32_t>(whole.in_h - input_row);
  return s;
}

template <class Args>
void shift_conv(Args& args, const RowBlock& block) noexcept {
  const ConvShape whole = args.shape;
  int64_t row = 0;
  args.shape = conv_block(whole, block, row);
  args.input += (block.sample * whole.in_h + row) * whole.in_w * whole.in_c;
}

template <class Kernel, class Args>
void run_whole(const Kernel& kernel, const Args& args) noexcept {
  kernel.run(args, 0, kernel.units(args.shape));
}

void shift_pool(PoolArgs& args, const RowBlock& block) noexcept {
  const int64_t pixels = (block.sample * args.out_h + block.pool_first) * args.out_w;
  args.output += pixels * args.channels;
  if (args.bits.words) args.bits.words += pixels * words_of(args.channels);
  args.pad_top = static_cast<int32_t>(block.first - (block.pool_first * args.stride_h - args.pad_top));
  args.pad_bottom = static_cast<int32_t>(args.in_h + args.pad_bottom - block.last);
  args.in_h = static_cast<int32_t>(block.last - block.first);
  args.out_h = static_cast<int32_t>(block.pool_last - block.pool_first);
}

// Row blocks [begin, end) of batch * row_block_count. `conv` is a float_conv or an int8_conv without residual.
void run_row_blocks(const Step& conv, const Step& pool, const Kernels& kernels, const Bases& bases, int64_t begin,
                int64_t end) noexcept {
  const auto run_pool = pool.kind == StepKind::max_pool ? kernels.max_pool : kernels.average_pool;
  for (int64_t index = begin; index < end; ++index) {
    const RowBlock block = row_block_at(pool, conv.block_rows, index);
    if (conv.kind == StepKind::float_conv) {
      FloatConvArgs args = float_conv_args(conv, bases, 1);
      shift_conv(args, block);
      run_whole(kernels.float_conv[conv.kernel], args);
    } else {
      Int8ConvArgs args = int8_conv_args(conv, bases, 1);
      shift_conv(args, block);
      run_whole(kernels.int8_conv[conv.kernel], args);
    }
    PoolArgs args = pool_args(pool, bases, 1);
    shift_pool(args, block);
    run_pool(args, 0, args.out_h);
  }
}

int64_t out_rows(const Step& step, int32_t batch) { return int64_t{batch} * step.shape.out_h; }

void pad_channels(const Step& step, const Bases& bases, int64_t begin, int64_t end) {
  const ConvShape& s = step.shape;
  const float* input = read<float>(step.input, bases) + begin * s.in_w * s.in_c;
  float* output = write<float>(step.output, bases) + begin * s.in_w * s.out_c;
  const int64_t pixels = (end - begin) * s.in_w;
  std::memset(output, 0, static_cast<size_t>(pixels * s.out_c) * sizeof(float));
  for (int64_t i = 0; i < pixels; ++i) {
    std::memcpy(output + i * s.out_c + step.channels_before, input + i * s.in_c,
                static_cast<size_t>(s.in_c) * sizeof(float));
  }
}

}  // namespace

int64_t block_conv_rows(const Step& pool, int32_t block_rows) noexcept {
  const int64_t rows = (int64_t{block_rows} - 1) * pool.shape.stride_h + pool.shape.kernel_h;
  return rows < pool.shape.in_h ? rows : pool.shape.in_h;
}

int64_t step_units(const Step* step, const Kernels& kernels, int32_t batch) noexcept {
  if (step->block_rows > 0) return row_block_count(step[1], step->block_rows) * batch;
  ConvShape shape = step->shape;
  shape.batch = batch;
  switch (step->kind) {
    case StepKind::float_conv: return kernels.float_conv[step->kernel].units(shape);
    case StepKind::binary_conv: return kernels.binary_conv[step->kernel].units(shape);
    case StepKind::int8_conv: return kernels.int8_conv[step->kernel].units(shape);
    default: return out_rows(*step, batch);
  }
}

void run_step(const Step* step, const Kernels& kernels, const Bases& bases, int32_t batch, int64_t begin,
              int64_t end) noexcept {
  if (step->block_rows > 0) return run_row_blocks(step[0], step[1], kernels, bases, begin, end);
  switch (step->kind) {
    case StepKind::float_conv:
      return kernels.float_conv[step->kernel].run(float_conv_args(*step, bases, batch), begin, end);
    case StepKind::binary_conv:
      return kernels.binary_conv[step->kernel].run(binary_conv_args(*step, bases, batch), begin, end);
    case StepKind::int8_conv:
      return kernels.int8_conv[step->kernel].run(int8_conv_args(*step, bases, batch), begin, end);
    case StepKind::quantize: return kernels.quantize(quantize_args(*step, bases, batch), begin, end);
    case StepKind::binarize: return kernels.binarize(binarize_args(*step, bases), begin, end);
    case StepKind::pointwise: return kernels.pointwise(pointwise_args(*step, bases), begin, end);
    case StepKind::max_pool: return kernels.max_pool(pool_args(*step, bases, batch), begin, end);
    case StepKind::average_pool: return kernels.average_pool(pool_args(*step, bases, batch), begin, end);
    case StepKind::pad_channels: return pad_channels(*step, bases, begin, end);
  }
}

}  // namespace onebit
