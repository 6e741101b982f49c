#include "run/args.h"

namespace onebit {
namespace {

ConvShape shape_of(const Step& step, int32_t batch) noexcept {
  ConvShape shape = step.shape;
  shape.batch = batch;
  return shape;
}

Epilogue epilogue(const Step& step, const Bases& bases) noexcept {
  return {read<float>(step.scale, bases), read<float>(step.bias, bases), read<float>(step.residual, bases),
          read<float>(step.slope, bases), read<float>(step.post, bases), step.activation};
}

// Bits beside floats.
Bits bits(const Step& step, const Bases& bases) noexcept {
  if (step.bits_interval.base == Base::nowhere) return {};
  return {write<uint32_t>(step.bits, bases), read<float>(step.bits_interval, bases)};
}

}  // namespace

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

}  // namespace onebit
