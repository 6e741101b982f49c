#include "learner/head/cwr.h"

#include <algorithm>
#include <limits>

#include "kernels/registry.h"

namespace onebit::learner {

namespace {

// Averages w_j = row - mu into cw_j.
void consolidate(int16_t* cw, const int16_t* row, size_t width, int64_t mu, uint32_t past, uint32_t current) {
  const int64_t one = int64_t{1} << 16;
  const int64_t ratio = integer_sqrt((uint64_t{past} << 32) / current);  // 0 for a new class
  for (size_t i = 0; i < width; ++i) cw[i] = saturate16(round_div(cw[i] * ratio + (row[i] - mu) * one, ratio + one));
}

}  // namespace

LiveHead begin_experience(const Numbers& numbers, const State& state, const std::vector<uint32_t>& slots) {
  const size_t width = numbers.width();
  LiveHead head;
  head.seen = state.seen();
  head.row_of.resize(state.classes.size());
  head.current.resize(head.seen.size());
  head.masters.resize(head.seen.size() * width);
  for (uint32_t row = 0; row < head.seen.size(); ++row) head.row_of[head.seen[row]] = row;
  for (const uint32_t slot : slots) ++head.current[head.row_of[slot]];
  for (size_t row = 0; row < head.seen.size(); ++row) {
    if (head.current[row] && state.classes[head.seen[row]].past) {
      std::copy_n(state.cw.begin() + static_cast<std::ptrdiff_t>(head.seen[row] * width), width,
                  head.masters.begin() + static_cast<std::ptrdiff_t>(row * width));
    }
  }
  return head;
}

void end_experience(const Numbers& numbers, State& state, const LiveHead& head) {
  const size_t width = numbers.width();
  int64_t sum = 0, entries = 0;
  for (size_t row = 0; row < head.seen.size(); ++row) {
    if (!head.current[row]) continue;
    for (size_t i = 0; i < width; ++i) sum += head.masters[row * width + i];
    entries += static_cast<int64_t>(width);
  }
  const int64_t mu = round_div(sum, entries);
  for (size_t row = 0; row < head.seen.size(); ++row) {
    if (!head.current[row]) continue;
    ClassSlot& slot = state.classes[head.seen[row]];
    consolidate(state.cw.data() + head.seen[row] * width, head.masters.data() + row * width, width, mu, slot.past,
                head.current[row]);
    slot.past = static_cast<uint32_t>(
        std::min<uint64_t>(uint64_t{slot.past} + head.current[row], std::numeric_limits<uint32_t>::max()));
  }
}

void cwr_teach(const Numbers& numbers, State& state, const std::vector<int16_t>& inputs,
               const std::vector<uint32_t>& slots, const TrainOptions& options) {
  LiveHead head = begin_experience(numbers, state, slots);
  std::vector<uint32_t> targets;
  for (const uint32_t slot : slots) targets.push_back(head.row_of[slot]);
  Trainer(numbers, best_isa().head(), head.seen.size(), slots.size())
      .train(head.masters.data(), inputs.data(), targets.data(), options, state.random);
  end_experience(numbers, state, head);
}

}  // namespace onebit::learner
