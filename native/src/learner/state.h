// What a learner knows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "integer/random.h"
#include "learner/replay_memory.h"
#include "learner/tail/masters.h"

namespace onebit::learner {

using namespace integer;

constexpr size_t kNameBytes = 64;  // with at least one terminating zero

struct ClassSlot {
  std::string name;  // empty: a free slot
  uint32_t past = 0;
};

// Everything that teaching changes. Its size is fixed by max_classes and max_experiences.
struct State {
  std::vector<ClassSlot> classes;     // max_classes
  std::vector<int16_t> cw;            // max_classes x width
  std::vector<uint64_t> experiences;  // a ring of the hashes of their ids
  uint64_t taught = 0;                // experiences so far; the ring's next place is taught mod its size
  Random random{};
  TailMasters tail;  // empty without a trainable tail
  ReplayMemory replay;

  std::vector<uint32_t> seen() const;  // slots in use, ascending

  // The slot of a class; a new name takes a free slot. Throws Error if the name is not valid, or no slot is free.
  uint32_t slot_for(const std::string& name);
  // The slot of a class. Throws Error if no class has the name.
  ClassSlot& find(const std::string& name);
  // Throws Error if no class has the name, a class has the new name already, or that is not valid.
  void rename(const std::string& name, const std::string& new_name);
};

// Whether a name is printable UTF-8 of 1 to 63 bytes.
bool valid_name(const std::string& name);

}  // namespace onebit::learner
