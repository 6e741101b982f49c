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
  size_t words() const { return slots.empty() ? 0 : bits.size() / slots.size(); }  // per sample
  const uint32_t* sample(size_t index) const { return bits.data() + index * words(); }
  void put(size_t index, const uint32_t* latents, uint32_t slot);

  std::vector<uint32_t> used() const;  // places in use, ascending

  // Stores new samples after experience number `index`, which counts from 1. They fill the free places in a random
  // order; then more replace stored samples, drawn at random, until min(capacity / (index + 1), samples) are stored.
  void replace(const std::vector<const uint32_t*>& latents, const std::vector<uint32_t>& classes, uint64_t index,
               Random& random);

  // Frees the places of a class and zeros their bits.
  void erase(uint32_t slot);

  std::vector<uint32_t> slots;  // the slot of each sample's class, or kFree
  std::vector<uint32_t> bits;   // capacity x words; zeros where free
};

// An empty memory; a sample has `words` words.
ReplayMemory make_replay(uint32_t capacity, size_t words);

}  // namespace onebit::learner
