#include "learner/replay_memory.h"

#include <algorithm>
#include <numeric>

#include "learner/head/head.h"

namespace onebit::learner {

ReplayMemory make_replay(uint32_t capacity, size_t words) {
  ReplayMemory replay;
  replay.slots.assign(capacity, ReplayMemory::kFree);
  replay.bits.assign(capacity * words, 0);
  return replay;
}

void ReplayMemory::put(size_t index, const uint32_t* latents, uint32_t slot) {
  slots[index] = slot;
  std::copy_n(latents, words(), bits.begin() + static_cast<std::ptrdiff_t>(index * words()));
}

std::vector<uint32_t> ReplayMemory::used() const {
  std::vector<uint32_t> places;
  for (uint32_t i = 0; i < capacity(); ++i)
    if (slots[i] != kFree) places.push_back(i);
  return places;
}

void ReplayMemory::replace(const std::vector<const uint32_t*>& latents, const std::vector<uint32_t>& classes,
                           uint64_t index, Random& random) {
  if (slots.empty()) return;
  const size_t samples = latents.size();
  std::vector<uint32_t> order(samples), places(capacity());
  std::iota(order.begin(), order.end(), 0u);
  std::iota(places.begin(), places.end(), 0u);
  shuffle(order, random);
  size_t taken = 0;
  for (size_t i = 0; i < places.size() && taken < samples; ++i) {
    if (slots[i] != kFree) continue;
    put(i, latents[order[taken]], classes[order[taken]]);
    ++taken;
  }
  const auto share = static_cast<size_t>(std::min<uint64_t>(capacity() / (index + 1), samples));
  for (size_t j = 0; taken < share; ++j, ++taken) {
    std::swap(places[j], places[j + random.below(static_cast<uint32_t>(places.size() - j))]);
    put(places[j], latents[order[taken]], classes[order[taken]]);
  }
}

void ReplayMemory::erase(uint32_t slot) {
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i] != slot) continue;
    slots[i] = kFree;
    std::fill_n(bits.begin() + static_cast<std::ptrdiff_t>(i * words()), words(), 0u);
  }
}

}  // namespace onebit::learner
