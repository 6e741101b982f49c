#include "kernels/registry.h"

#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "kernels/portable/tables.h"

// ONEBIT_ISAS, from CMake, are the lines of isas.txt that can be built for this processor: ONEBIT_ISA(name), best
// first.
namespace onebit {

#define ONEBIT_ISA(name) \
  namespace name {       \
  extern const Isa isa;  \
  }
ONEBIT_ISAS
#undef ONEBIT_ISA

namespace {

#define ONEBIT_ISA(name) &name::isa,
constexpr const Isa* entries[] = {ONEBIT_ISAS};
#undef ONEBIT_ISA

// The entries that this CPU can run.
struct Registry {
  static constexpr size_t kMax = sizeof(entries) / sizeof(entries[0]);

  Registry() {
    for (const Isa* entry : entries) {
      if (!entry->usable()) continue;
      names[count] = entry->kernels().name;
      isas[count++] = complete(*entry);
    }
  }

  static Isa complete(Isa isa) {
    if (!isa.head) isa.head = portable::head;
    if (!isa.tail) isa.tail = portable::tail;
    if (!isa.signs) isa.signs = portable::signs;
    if (!isa.training && isa.trains) isa.training = portable::training;
    if (!isa.fused) isa.fused = portable::fused;
    return isa;
  }

  size_t count = 0;
  Isa isas[kMax] = {};
  const char* names[kMax + 1] = {};
};

const Registry& registry() {
  static const Registry registry;
  return registry;
}

}  // namespace

const Isa* select_isa(const char* name) {
  if (!*name) {
    const char* forced = std::getenv("ONEBIT_ISA");
    if (forced) name = forced;
  }
  const Registry& all = registry();
  for (size_t i = 0; i < all.count; ++i)
    if (!*name || std::strcmp(name, all.names[i]) == 0) return &all.isas[i];
  return nullptr;
}

const Isa& best_isa() {
  const Isa* isa = select_isa("");
  if (!isa) throw Error(ONEBIT_INVALID_ARGUMENT, "ONEBIT_ISA names no instruction set of this machine");
  return *isa;
}

const char* const* available_isas() { return registry().names; }

}  // namespace onebit
