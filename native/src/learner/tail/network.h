// The tail at work: forward, and the gradient of one mini-batch, which updates the masters. docs/learner.md has the
// arithmetic.
//
//   forward:   Z = M s + N + R r;  y = activation(Z);  q = clamp(round((y + P) 2^-16) + zero, 0, 255) - zero
//   backward:  a gradient is 16 bits with a unit in binary64; those of a convolution's two products are 8 bits, rounded
//              stochastically
//   update:    w <- clamp(w - floor(rate gradient + u)),  u uniform in [0, 1), 16 bits
//
// All memory is taken at construction; nothing is allocated and nothing thrown afterwards.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/scratch.h"
#include "base/thread_pool.h"
#include "gradient/byte_products.h"
#include "gradient/sign_products.h"
#include "integer/random.h"
#include "kernels/registry.h"
#include "learner/tail/arithmetic.h"
#include "learner/tail/tail.h"

namespace onebit::learner {

class TailNetwork {
 public:
  enum class Use { forward, training };

  // For up to `batch` samples at a time. Throws Error if sums over so many could overflow.
  TailNetwork(const Tail& tail, const Isa& isa, uint32_t batch, Use use, int threads = 1);

  const Tail& tail() const { return tail_; }

  // Takes over the weights' signs. The parameters are read in place until the next load() or backward().
  void load(const TailMasters& masters);

  // bits[i]: a sample's latents.
  void forward(const uint32_t* const* bits, uint32_t count);
  void features(uint32_t sample, int16_t* levels) const;  // after forward()

  // From the gradient of the features of the samples that went forward, integers of the worth `unit`.
  void backward(const int32_t* gradient, double unit, double rate, TailMasters& masters, Random& random);

 private:
  struct Gradient {
    double unit = 0;
    bool present = false;  // else it is zero everywhere
    size_t place = 0;
  };
  struct Layer {                      // what a layer needs beside its masters
    Scratch<int16_t> sums, levels;    // levels: of the weights of a real-valued convolution
    Scratch<int32_t> wide;            // its sums
    Scratch<uint32_t> bits, weights;  // signs, of the input and of the weights
    Scratch<uint8_t> packed;          // the weights as the kernel reads them
    const BinaryConvKernel* kernel = nullptr;
    std::unique_ptr<const ConvPairs> pairs;
  };
  struct Keys {
    uint32_t levels, weights, parameters;
  };

  // Forward, some samples of a layer.
  void run(size_t layer, int64_t begin, int64_t end, size_t thread);
  void convolve(size_t layer, int64_t begin, int64_t end, float* floats);
  void run_untrained(size_t layer, int64_t begin, int64_t end);
  TailSums sums_of(size_t layer, int64_t first_pixel, int64_t pixels) const;
  void load_weights(size_t layer, const TailMasters& masters);
  void load_levels(size_t layer, const TailMasters& masters);

  void plan_gradients();
  void reserve_gradients();
  void reserve_real(const TailLayer& layer);
  void start(const int32_t* gradient, double unit);
  void through_untrained(size_t layer);
  void spread(size_t layer, int64_t sample, int32_t* sums) const;
  void train(size_t layer, double rate, TailMasters& masters, Random& random);
  int64_t before_activation(size_t layer);
  void to_input(size_t layer, int64_t most);
  void through_convolution(size_t layer, int64_t most, const Keys& keys, double rate, TailMasters& masters);
  void through_sign(size_t layer, double unit);
  void through_real(size_t layer, int64_t most, const Keys& keys, double rate, TailMasters& masters);
  void update_reals(size_t layer, double unit, double rate, uint32_t key, TailMasters& masters);
  void update_weights(size_t layer, double unit, double rate, uint32_t key, TailMasters& masters);
  void update_parameters(size_t layer, double rate, uint32_t key, TailMasters& masters);
  // Adds the contribution that stands in other_, not all zeros, to a value's gradient.
  void accept(size_t value, double unit);
  int16_t* values_of(size_t value) const { return places_[gradients_[value].place].data(); }

  // The largest of what `part(begin, end)` gives for parts of [0, rows).
  template <class Part>
  int64_t largest(int64_t rows, const Part& part);

  const Tail& tail_;
  const Kernels& kernels_;
  const TailKernels& passes_;
  const uint32_t batch_;
  const size_t threads_;
  Pool pool_;
  const int32_t* parameters_ = nullptr;
  int64_t count_ = 0;

  std::vector<Scratch<uint8_t>> codes_;  // of each value
  std::vector<Layer> layers_;
  int64_t floats_a_thread_ = 0;
  Scratch<float> floats_;  // sums as the kernels give them

  std::vector<Gradient> gradients_;       // of each value
  std::vector<Scratch<int16_t>> places_;  // where they stand, several in turn
  Scratch<int16_t> other_;
  Scratch<int32_t> spread_;  // of each thread: a sample's gradient behind what trains nothing
  Scratch<int32_t> real_sums_;
  int64_t channels_ = 0;                   // at most
  std::vector<int64_t> totals_, largest_;  // of each thread: dM, dN, dA, dP
  std::vector<int32_t> largest_of_channel_;
  SignProducts products_;
  ByteProducts real_;
  Scratch<int32_t> input_sums_;
};

template <class Part>
int64_t TailNetwork::largest(int64_t rows, const Part& part) {
  std::fill(largest_.begin(), largest_.end(), 0);
  pool_.split(rows, [&](int64_t begin, int64_t end, size_t thread) {
    largest_[thread] = std::max(largest_[thread], part(begin, end));
  });
  return *std::max_element(largest_.begin(), largest_.end());
}

}  // namespace onebit::learner
