// A step's addresses as pointers: the arguments of its kernel.
#pragma once

#include "run/step.h"

namespace onebit {

template <class Element>
const Element* read(const Address& address, const Bases& bases) noexcept {
  const uint8_t* const pointers[] = {nullptr, bases.arena, bases.scratch, bases.weights, bases.file, bases.input};
  if (address.base == Base::nowhere) return nullptr;
  return reinterpret_cast<const Element*>(pointers[static_cast<uint32_t>(address.base)] + address.offset);
}

template <class Element>
Element* write(const Address& address, const Bases& bases) noexcept {
  if (address.base == Base::nowhere) return nullptr;
  uint8_t* base = address.base == Base::scratch ? bases.scratch : bases.arena;
  return reinterpret_cast<Element*>(base + address.offset);
}

FloatConvArgs float_conv_args(const Step& step, const Bases& bases, int32_t batch) noexcept;
BinaryConvArgs binary_conv_args(const Step& step, const Bases& bases, int32_t batch) noexcept;
Int8ConvArgs int8_conv_args(const Step& step, const Bases& bases, int32_t batch) noexcept;
QuantizeArgs quantize_args(const Step& step, const Bases& bases, int32_t batch) noexcept;
BinarizeArgs binarize_args(const Step& step, const Bases& bases) noexcept;
PointwiseArgs pointwise_args(const Step& step, const Bases& bases) noexcept;
PoolArgs pool_args(const Step& step, const Bases& bases, int32_t batch) noexcept;

}  // namespace onebit
