// Places values that live at different times in one piece of memory.
#pragma once

#include <cstdint>
#include <vector>

namespace onebit {

// A value is written in step `first` and read for the last time in step `last`.
struct Lifetime {
  uint64_t bytes;
  uint32_t first, last;
};

struct Arena {
  std::vector<uint64_t> offsets;  // one per lifetime, multiples of 64
  uint64_t bytes = 0;
};

// Lifetimes in ascending order of `first`. Two of them that share a step never share a byte.
Arena place(const std::vector<Lifetime>& lifetimes);

}  // namespace onebit
