// The masters of a teachable tail, as the store keeps them.
#pragma once

#include <cstdint>
#include <vector>

namespace onebit::learner {

// What training changes: the weights of each convolution, [out_c][kernel_h][kernel_w][in_c], and of each trained layer
// M, N, A and P, [4][channels] (docs/learner.md).
struct TailMasters {
  std::vector<int8_t> weights;  // of binary convolutions, latent
  std::vector<int32_t> parameters;
  std::vector<int16_t> reals;  // of real-valued convolutions
};

}  // namespace onebit::learner
