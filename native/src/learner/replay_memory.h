// The replay memory: latents of earlier samples, 1 bit each, with the slot of their class. Its size is fixed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "integer/random.h"

namespace onebit::learner {

using namespace integer;

struct ReplayMemory {
  static constexpr uint32_t kFree = 0xFFFFFFFFu;

  uint32_t capacity() const { return static_cast<uint32_t>(slots.size()); }
  size_t words() const { return slots.empty() ? 0 : bits.size() / slots.size(); }  // of a sample
  const uint32_t* sample(size_t index) const { return bits.data() + index * words(); }
  void put(size_t index, const uint32_t* latents, uint32_t slot);

  std::vector<uint32_t> used() const;  // places in use, ascending

  // After an experience, the number `index` from 1: latents[i] of the new samples fill the free places in a random
  // order, and what is left takes min(capacity / (index + 1), samples) places in all, drawn at random.
  void replace(const std::vector<const uint32_t*>& latents, const std::vector<uint32_t>& classes, uint64_t index,
               Random& random);

  // Leaves no bit of a class.
  void erase(uint32_t slot);

  std::vector<uint32_t> slots;  // of the class of each sample, or kFree
  std::vector<uint32_t> bits;   // capacity x words; zeros where free
};

// For samples of `words` words.
ReplayMemory make_replay(uint32_t capacity, size_t words);

}  // namespace onebit::learner
