// The masters of a teachable tail, as the store keeps them.
#pragma once

#include <cstdint>
#include <vector>

namespace onebit::learner {

// What training changes: of each convolution its latent weights, [out_c][kernel_h][kernel_w][in_c], and of each trained
// layer M, N, A and P, [4][channels] (docs/learner.md).
struct TailMasters {
  std::vector<int8_t> weights;
  std::vector<int32_t> parameters;
};

}  // namespace onebit::learner
