#ifdef __arm__
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "kernels/neon/tables.h"
#include "kernels/registry.h"

namespace onebit::neon {
namespace {

bool usable() {
#ifdef __arm__
  return (getauxval(AT_HWCAP) & HWCAP_NEON) != 0;
#else
  return true;  // every 64-bit ARM has it
#endif
}

}  // namespace

extern const Isa isa = {usable, kernels, head, nullptr, signs, training, fused};

}  // namespace onebit::neon
