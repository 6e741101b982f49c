// The quantised head and one pass of SGD over it: the five steps of Vorabbi et al. (arXiv 2308.15308), forward q_f = 8
// bits, master weights q_b = 16 bits, all in integers.
//
//   1. x^ = step_x x,                    x = Q_8(features), calibrated range, an integer in [-255, 255]
//      W^ = step_w w,                    w = Q_8(W), W's own range widened by 2 % on each side
//   2. S = w x  (int32),                 z = step_x step_w S
//   3. p^ = round(255 softmax(z)) / 255
//   4. d^ = 2 e / (255 B),               e = round((255 p^ - 255 onehot) / 2), an int8 (Q_8 over [-1/B, 1/B])
//   5. G = d^T x^,                       W <- saturate16(W - round(lr G 2^f)),  masters in units of 2^-f
//
// Departures: the error's range is the one that it cannot leave, where the paper calibrates it on experience 0, which a
// device has not seen; and step 5 rounds stochastically (floor of the update plus 16 uniform bits), so that an update
// below one step of a master is not lost on average.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "base/scratch.h"
#include "integer/quantizer.h"
#include "integer/random.h"
#include "kernels/head.h"

namespace onebit::learner {

using namespace integer;

constexpr uint32_t kMaxWidth = 32768;  // 255 * 255 * 32768 < 2^31
constexpr uint32_t kMaxBatch = 4096;

// The number formats of a learner, which never change.
struct Numbers {
  uint32_t features = 0;
  bool bias = false;  // the packed head has one: here the weight of one more, constant input
  FeatureQuantizer quantizer;
  int32_t fraction = 0;  // f

  uint32_t width() const { return features + (bias ? 1u : 0u); }
  // The level of that input: the one nearest to the value 1, so that a bias learns as fast as it does in float.
  int16_t bias_level() const {
    return static_cast<int16_t>(
        std::clamp(std::nearbyint(1.0 / static_cast<double>(quantizer.step)), 1.0, static_cast<double>(kLevels)));
  }
  // Turns a difference of scores S, for weights of range `span`, into t = z log2(e).
  Factor score_factor(int32_t span) const;
  // Quantises one sample of `features` floats into `width()` levels.
  void quantize(const float* sample, int16_t* levels) const;
};

struct TrainOptions {
  uint32_t steps = 0;  // mini-batches; the samples are shuffled again when all were used
  uint32_t batch = 0;
  double learning_rate = 0;
  // Of a trainable tail (tail_learner.h), in place of the steps:
  uint32_t epochs = 10;
  double tail_rate = 0.1;
  uint32_t replayed = 36;  // samples per mini-batch from the replay memory
};

// Fills the rows x head_pitch(width) `weights` from rows x width masters and returns the quantiser used; all-zero
// masters give all-zero levels and span 0. Elements beyond a row's width are not written.
WeightQuantizer quantize_weights(const HeadKernels& kernels, const int16_t* masters, size_t rows, size_t width,
                                 int16_t* weights);

// Shuffles a permutation in place (Fisher-Yates).
void shuffle(std::vector<uint32_t>& order, Random& random);

// Takes all memory at construction: nothing is allocated in training.
class Trainer {
 public:
  // samples: how many train() is called with; 0 without it.
  Trainer(const Numbers& numbers, const HeadKernels& kernels, size_t rows, size_t samples);

  // masters: rows x width. inputs: samples x width levels. targets: a row per sample.
  void train(int16_t* masters, const int16_t* inputs, const uint32_t* targets, const TrainOptions& options,
             Random& random);

  // The parts of one mini-batch: begin() quantises the masters, add() takes samples, update() draws a key.
  void begin(const int16_t* masters);
  // inputs[i]: the levels of a sample. to_input, if not null, takes the gradient of each sample's features: sum_k e_k
  // w_k, `features` integers in units of error_unit() * weight_unit().
  void add(const int16_t* const* inputs, const uint32_t* targets, size_t count, int32_t* to_input = nullptr);
  void update(int16_t* masters, uint32_t count, double learning_rate, Random& random);

  static double error_unit(uint32_t count) { return 2.0 / (255.0 * count); }
  double weight_unit() const { return std::ldexp(52.0 * span_ / (50.0 * kLevels), -numbers_.fraction); }

 private:
  void add_group(const int16_t* const* inputs, const uint32_t* targets, int64_t count);
  void add_to_input(int64_t count, int32_t* to_input);

  const Numbers& numbers_;
  const HeadKernels& kernels_;
  const int64_t rows_, width_, pitch_;
  std::vector<uint32_t> order_;
  std::vector<const int16_t*> weight_rows_;
  int32_t span_ = 0;                         // the range of w in masters' units
  Factor factor_{};                          // turns scores into logits
  Scratch<int16_t> weights_, packed_;        // w; a group's samples, or w, in the order that products read
  Scratch<int32_t> scores_, gradient_;       // S of a group; the sum of e x over the batch
  Scratch<int16_t> errors_, sample_errors_;  // e of a group, a row per class; the same, a row per sample
};

}  // namespace onebit::learner
