#ifdef __linux__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "kernels/amx/tables.h"
#include "kernels/avx512/tables.h"
#include "kernels/avx512bw/tables.h"
#include "kernels/registry.h"

namespace onebit::amx {
namespace {

// Linux gives a process the tiles' registers when it asks for them, and keeps them from then on.
bool usable() {
#ifdef __linux__
  static const bool granted = [] {
    constexpr unsigned tile = 1u << 24, int8 = 1u << 25;
    constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    unsigned a, b, c, d;
    return avx512::usable() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & tile) && (d & int8) &&
           syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
  }();
  return granted;
#else
  return false;
#endif
}

}  // namespace

extern const Isa isa = {usable,          kernels,          avx512::head,   avx512::tail,
                        avx512bw::signs, avx512::training, avx512bw::fused};

}  // namespace onebit::amx
