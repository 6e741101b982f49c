// A layer that is trained: sums s, which a kind of layer computes, and a scale, bias, slope and post per channel, the
// masters M, N, A, P.
//
//   forward:   Z = M s + N + R r;  y = activation(Z);  q = clamp(round((y + P) 2^-16) + zero, 0, 255) - zero
//   backward:  G' = G activation'(Z), the gradient of the residual as well;  G' M that of s
//              dP = sum of G, dA = sum of G round(Z 2^-16) where Z < 0, dN = sum of G', dM = sum of G' s
//   update:    w <- clamp(w - floor(rate gradient + u)),  u uniform in [0, 1), 16 bits
#pragma once

#include "learner/tail/layer.h"

namespace onebit::learner {

class TrainedLayer : public Layer {
 public:
  void load(const TailMasters& masters) override { parameters_ = masters.parameters.data() + spec_.parameters; }
  void forward(int64_t begin, int64_t end, size_t thread) final;
  void backward(double rate, TailMasters& masters, Random& random) final;

 protected:
  // One step's noise of each group of masters, and of rounding to 8 bits.
  struct Keys {
    uint32_t levels, weights, parameters;
  };

  // variance: of a sum of random signs, 1 for other sums. The scale of a binary convolution is trained as
  // M sqrt(variance): about the scale of the BatchNorm that was folded into it, whose rate suits the other parameters.
  TrainedLayer(Workspace& work, size_t index, double variance);

  // s of some samples, to sums_ or wide_sums_.
  virtual void sum(int64_t begin, int64_t end, size_t thread) = 0;
  // G' M goes on to the input and to the weights. max: the largest |G' M|, above 0.
  virtual void through_sums(int64_t max, const Keys& keys, double rate, TailMasters& masters) = 0;

  // h = G' M in 8 bits, rounded stochastically, to [pixel][pitch]. Returns the unit, or 0 if it left binary64.
  double eight_bits(int64_t max, uint32_t key, int8_t* h, int64_t pitch);

  const int32_t* parameters_ = nullptr;  // [M, N, A, P][channel]
  Scratch<int16_t> sums_;
  Scratch<int32_t> wide_sums_;  // where 16 bits do not hold them

 private:
  TailSums z(int64_t first_pixel, int64_t pixels) const;
  int64_t before_activation();
  void update_parameters(double rate, uint32_t key, int32_t* parameters);

  const double variance_;
};

}  // namespace onebit::learner
