#ifdef __linux__
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "kernels/neon/tables.h"
#include "kernels/neon_dotprod/tables.h"
#include "kernels/registry.h"

namespace onebit::neon_dotprod {
namespace {

bool usable() {
#ifdef __linux__
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  return true;  // macOS: every processor of Apple's computers has it
#endif
}

}  // namespace

extern const Isa isa = {usable, kernels, neon::head, nullptr, neon::signs, training, neon::fused};

}  // namespace onebit::neon_dotprod
