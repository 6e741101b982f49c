#include "learner/cwr.h"

#include <algorithm>
#include <limits>

namespace onebit::learner {

std::vector<uint32_t> State::seen() const {
  std::vector<uint32_t> slots;
  for (uint32_t i = 0; i < classes.size(); ++i) {
    if (!classes[i].name.empty()) slots.push_back(i);
  }
  return slots;
}

namespace {

// cw_j after training left w_j in `row`.
void consolidate(int16_t* cw, const int16_t* row, size_t width, int64_t mu, uint32_t past, uint32_t current) {
  const int64_t one = int64_t{1} << 16;
  const int64_t ratio = integer_sqrt((uint64_t{past} << 32) / current);  // 0 for a new class
  for (size_t i = 0; i < width; ++i) cw[i] = saturate16(round_div(cw[i] * ratio + (row[i] - mu) * one, ratio + one));
}

}  // namespace

void cwr_teach(const Numbers& numbers, State& state, const std::vector<int16_t>& inputs,
               const std::vector<uint32_t>& slots, const TrainOptions& options) {
  const size_t width = numbers.width();
  const auto seen = state.seen();
  std::vector<uint32_t> row_of(state.classes.size()), current(seen.size()), targets(slots.size());
  for (uint32_t row = 0; row < seen.size(); ++row) row_of[seen[row]] = row;
  for (size_t i = 0; i < slots.size(); ++i) {
    targets[i] = row_of[slots[i]];
    ++current[targets[i]];
  }

  std::vector<int16_t> tw(seen.size() * width);
  for (size_t row = 0; row < seen.size(); ++row) {
    if (current[row] && state.classes[seen[row]].past) {
      std::copy_n(state.cw.begin() + static_cast<std::ptrdiff_t>(seen[row] * width), width,
                  tw.begin() + static_cast<std::ptrdiff_t>(row * width));
    }
  }
  Trainer(numbers, seen.size(), slots.size()).train(tw.data(), inputs.data(), targets.data(), options, state.random);

  int64_t sum = 0, entries = 0;
  for (size_t row = 0; row < seen.size(); ++row) {
    if (!current[row]) continue;
    for (size_t i = 0; i < width; ++i) sum += tw[row * width + i];
    entries += static_cast<int64_t>(width);
  }
  const int64_t mu = round_div(sum, entries);
  for (size_t row = 0; row < seen.size(); ++row) {
    if (!current[row]) continue;
    ClassSlot& slot = state.classes[seen[row]];
    consolidate(state.cw.data() + seen[row] * width, tw.data() + row * width, width, mu, slot.past, current[row]);
    slot.past = static_cast<uint32_t>(
        std::min<uint64_t>(uint64_t{slot.past} + current[row], std::numeric_limits<uint32_t>::max()));
  }
}

}  // namespace onebit::learner
