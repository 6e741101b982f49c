// A model of two convolutions, each read by a pool alone: both run in strips.
#pragma once

#include "obn_writer.h"

namespace onebit::test {

// 9 x 7 x 2 floats in, `pooled` of 5 x 4 x 5 and `maps` of 2 x 2 x 6 out.
inline FileWriter strips() {
  FileWriter w;
  std::vector<float> floats;
  std::vector<int8_t> bytes;
  for (int i = 0; i < 5 * 9 * 2; ++i) floats.push_back(static_cast<float>((i * 7919) % 17 - 8) / 8.0f);
  for (int i = 0; i < 6 * 9 * 5; ++i) bytes.push_back(static_cast<int8_t>((i * 7919) % 255 - 127));
  w.text("weights.sha256", std::string(64, '0'));
  const uint32_t input = w.value(ValueType::f32, 9, 7, 2);
  const uint32_t conv =
      w.node(Op::conv_float, {input}, w.value(ValueType::f32, 9, 7, 5),
             {w.tensor(DType::f32, {5, 3, 3, 2}, floats),
              w.tensor<float>(DType::f32, {5}, {1.0f, -0.5f, 0.75f, 2.0f, -1.5f}), absent, absent, absent, absent},
             {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0});
  const uint32_t pooled = w.node(Op::max_pool, {conv}, w.value(ValueType::f32, 5, 4, 5), {}, {3, 3, 2, 2, 1, 1, 1, 1});
  const uint32_t conv_int8 = w.node(Op::conv_int8, {pooled}, w.value(ValueType::f32, 5, 4, 6),
                                    {w.tensor(DType::i8, {6, 3, 3, 5}, bytes), absent, absent, absent, absent,
                                     w.tensor<float>(DType::f32, {1}, {33.0f})},
                                    {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 90});
  const uint32_t maps =
      w.node(Op::average_pool, {conv_int8}, w.value(ValueType::f32, 2, 2, 6), {}, {2, 2, 2, 2, 0, 0, 0, 0, 0});
  w.outputs = {{pooled, "pooled"}, {maps, "maps"}};
  return w;
}

}  // namespace onebit::test
