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
  std::vector<uint64_t> experiences;  // ring of hashes of ids
  uint64_t taught = 0;                // experiences ever counted; the ring's next place is taught mod its size
  Random random{};
  TailMasters tail;  // where there is a teachable tail
  ReplayMemory replay;

  std::vector<uint32_t> seen() const;  // slots in use, ascending

  // That of a name, which is given a free slot if no class has it; throws Error if the name cannot be used or all slots
  // are.
  uint32_t slot_for(const std::string& name);
  // Throws Error if no class has the name.
  ClassSlot& find(const std::string& name);
  // Throws Error if no class has the name, or one has the new name already, or that cannot be used.
  void rename(const std::string& name, const std::string& new_name);
};

// Printable UTF-8 of 1 to 63 bytes.
bool valid_name(const std::string& name);

}  // namespace onebit::learner
