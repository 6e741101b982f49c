#include "graph/operations.h"

#include <algorithm>

namespace onebit {
namespace {

// Pairs of an output position and a tap along one side that meet inside the image.
uint64_t taps_inside(uint32_t side, uint32_t out, int32_t kernel, int32_t stride, int32_t dilation, int32_t pad) {
  uint64_t count = 0;
  for (int64_t tap = 0; tap < kernel; ++tap) {
    // The output positions o with 0 <= o * stride + tap * dilation - pad < side.
    const int64_t shift = tap * dilation - pad;
    const int64_t first = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
    const int64_t reach = int64_t{side} - 1 - shift;
    const int64_t last = reach < 0 ? -1 : std::min<int64_t>(reach / stride, int64_t{out} - 1);
    if (last >= first) count += static_cast<uint64_t>(last - first + 1);
  }
  return count;
}

}  // namespace

ConvShape conv_shape(const Model& model, const Node& node, int32_t batch) {
  const Value& in = model.values[node.input];
  const Value& out = model.values[node.output];
  const auto side = [](uint32_t value) { return static_cast<int32_t>(value); };
  return {batch,         side(in.h),      side(in.w),      side(in.c),    side(out.h),   side(out.w),
          side(out.c),   node.kernel_h,   node.kernel_w,   node.stride_h, node.stride_w, node.pad_top,
          node.pad_left, node.dilation_h, node.dilation_w, node.groups};
}

ConvShape int8_conv_shape(const Model& model, const Node& node, int32_t batch) {
  ConvShape shape = conv_shape(model, node, batch);
  shape.in_h += node.pad_top + node.pad_bottom;
  shape.in_w += node.pad_left + node.pad_right;
  shape.pad_top = shape.pad_left = 0;
  return shape;
}

uint64_t operations(const Model& model, const Node& node) {
  if (!node.has_weight()) return 0;
  const Value& in = model.values[node.input];
  const Value& out = model.values[node.output];
  const uint64_t rows = taps_inside(in.h, out.h, node.kernel_h, node.stride_h, node.dilation_h, node.pad_top);
  const uint64_t columns = taps_inside(in.w, out.w, node.kernel_w, node.stride_w, node.dilation_w, node.pad_left);
  return rows * columns * (in.c / static_cast<uint32_t>(node.groups)) * out.c;
}

}  // namespace onebit
