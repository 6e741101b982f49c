// The tail at work: forward, and the gradient of one mini-batch, which updates the masters. docs/learner.md has the
// arithmetic, and each kind of layer its part of it (trained_layer.h, binary_conv.cpp, float_conv.cpp, pointwise.cpp,
// parameter_free.cpp).
//
// All memory is taken at construction; nothing is allocated and nothing thrown afterwards.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "learner/tail/layer.h"

namespace onebit::learner {

class TailNetwork {
 public:
  enum class Use { forward, training };

  // For up to `batch` samples at a time. Throws Error if sums over so many could overflow.
  TailNetwork(const Tail& tail, const Isa& isa, uint32_t batch, Use use, int threads = 1);

  const Tail& tail() const { return work_.tail; }

  // Takes over the weights. The parameters are read in place until the next load() or backward().
  void load(const TailMasters& masters);

  // bits[i]: a sample's latents.
  void forward(const uint32_t* const* bits, uint32_t count);
  void features(uint32_t sample, int16_t* levels) const;  // after forward()

  // From the gradient of the features of the samples that went forward, integers in units of `unit`.
  void backward(const int32_t* gradient, double unit, double rate, TailMasters& masters, Random& random);

 private:
  Workspace work_;
  std::vector<std::unique_ptr<Layer>> layers_;
};

}  // namespace onebit::learner
