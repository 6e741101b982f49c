// The masters of a trainable tail, as the store keeps them.
#pragma once

#include <cstdint>
#include <vector>

namespace onebit::learner {

constexpr int64_t kMaxMaster = int64_t{1} << 30;
constexpr int kFloatWeightFraction = 8;  // bits that the master of a float convolution's weight has more than its level
constexpr int32_t kMaxFloatWeight = 127 << kFloatWeightFraction;

// What training changes: the weights of each convolution, [out_c][kernel_h][kernel_w][in_c], and of each trained layer
// M, N, A and P, [4][channels] (docs/learner.md).
struct TailMasters {
  std::vector<int8_t> weights;  // latent weights of binary convolutions
  std::vector<int32_t> parameters;
  std::vector<int16_t> float_weights;  // weights of float convolutions
};

}  // namespace onebit::learner
