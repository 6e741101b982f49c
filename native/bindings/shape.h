// The shape of a convolution from Python.
#pragma once

#include <nanobind/nanobind.h>

#include <array>

#include "kernels/kernels.h"

using Sides = std::array<int32_t, 13>;  // batch, in_h, in_w, in_c, out_h, out_w, out_c, kernel, stride, padding

inline onebit::ConvShape shape_of(const Sides& s) {
  for (size_t i = 0; i < s.size(); ++i)
    if (s[i] < (i < 11 ? 1 : 0)) throw nanobind::value_error("the shape is not that of a convolution");
  return {s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9], s[10], s[11], s[12], 1, 1, 1};
}
