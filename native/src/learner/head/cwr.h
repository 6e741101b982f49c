// CWR* (Lomonaco, Maltoni, Pellegrini 2020; the form of arXiv 2308.15308 and 2401.09916): one head in two memories.
//
//   J = the classes of this experience, cur_j their samples
//   tw <- 0, and tw_j <- cw_j for each seen j in J;  SGD on tw over all K classes (head.h)
//   mu = mean of all entries of the rows of tw in J;  w_j = tw_j - mu
//   new class:  cw_j <- w_j
//   seen class: cw_j <- (cw_j r + w_j) / (r + 1),  r = sqrt(past_j / cur_j)
//   past_j <- past_j + cur_j
//
// cw is int16 in the masters' unit; mu and the average are rounded to nearest even; r has 16 fractional bits; past
// saturates. A class that was never seen has no row in the softmax: its zero logit would beat negative ones.
#pragma once

#include <cstdint>
#include <vector>

#include "learner/head/head.h"
#include "learner/state.h"

namespace onebit::learner {

// The live head of an experience.
struct LiveHead {
  std::vector<uint32_t> seen;     // the slot of each row
  std::vector<uint32_t> row_of;   // the row of each slot in use
  std::vector<uint32_t> current;  // samples per row
  std::vector<int16_t> masters;   // tw, rows x width
};

// slots: the slot of each sample of the experience.
LiveHead begin_experience(const Numbers& numbers, const State& state, const std::vector<uint32_t>& slots);
void end_experience(const Numbers& numbers, State& state, const LiveHead& head);

// Trains with one experience. inputs: samples x width levels; slots[i]: the slot of sample i, whose class has its name
// already.
void cwr_teach(const Numbers& numbers, State& state, const std::vector<int16_t>& inputs,
               const std::vector<uint32_t>& slots, const TrainOptions& options);

}  // namespace onebit::learner
