// The one place that chooses an instruction set. The compiler's CPU check also asks whether the operating system saves
// the wide registers.
#include <cstdlib>
#include <cstring>

#include "kernels/kernels.h"

#if defined(ONEBIT_HAVE_AMX) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(ONEBIT_HAVE_NEON) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace onebit {
namespace {

struct Candidate {
  const Kernels& (*table)();
  bool (*usable)();
};

constexpr bool always() { return true; }

#ifdef ONEBIT_HAVE_AVX2
bool has_avx2() { return __builtin_cpu_supports("avx2"); }
#endif

#ifdef ONEBIT_HAVE_AVX512BW
bool has_avx512bw() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && has_avx2();
}
#endif

#ifdef ONEBIT_HAVE_AVX512
bool has_avx512() {
  return has_avx512bw() && __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512vnni");
}
#endif

#ifdef ONEBIT_HAVE_AMX
// Linux gives a process the tiles' registers when it asks for them, and keeps them from then on.
bool has_amx() {
#ifdef __linux__
  static const bool granted = [] {
    constexpr unsigned tile = 1u << 24, int8 = 1u << 25;
    constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    unsigned a, b, c, d;
    return has_avx512() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & tile) && (d & int8) &&
           syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
  }();
  return granted;
#else
  return false;
#endif
}
#endif

#ifdef ONEBIT_HAVE_NEON
bool has_neon() {
#ifdef __arm__
  return (getauxval(AT_HWCAP) & HWCAP_NEON) != 0;
#else
  return true;  // every 64-bit ARM has it
#endif
}
#endif

#ifdef ONEBIT_HAVE_NEON_DOTPROD
bool has_neon_dotprod() {
#ifdef __linux__
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  return true;  // macOS: every processor of Apple's computers has it
#endif
}
#endif

// Best first.
constexpr Candidate candidates[] = {
#ifdef ONEBIT_HAVE_AMX
    {amx_kernels, has_amx},
#endif
#ifdef ONEBIT_HAVE_AVX512
    {avx512_kernels, has_avx512},
#endif
#ifdef ONEBIT_HAVE_AVX512BW
    {avx512bw_kernels, has_avx512bw},
#endif
#ifdef ONEBIT_HAVE_AVX2
    {avx2_kernels, has_avx2},
#endif
#ifdef ONEBIT_HAVE_NEON_DOTPROD
    {neon_dotprod_kernels, has_neon_dotprod},
#endif
#ifdef ONEBIT_HAVE_NEON
    {neon_kernels, has_neon},
#endif
    {portable_kernels, always},
    {reference_kernels, always},
};

constexpr size_t candidate_count = sizeof(candidates) / sizeof(candidates[0]);

}  // namespace

const Kernels* select_kernels(const char* name) {
  if (!*name) {
    const char* forced = std::getenv("ONEBIT_ISA");
    if (forced) name = forced;
  }
  for (const Candidate& candidate : candidates) {
    if (!candidate.usable()) continue;
    const Kernels& kernels = candidate.table();
    if (!*name || std::strcmp(name, kernels.name) == 0) return &kernels;
  }
  return nullptr;
}

const char* const* available_kernels() {
  struct Names {
    const char* list[candidate_count + 1] = {};
    Names() {
      size_t count = 0;
      for (const Candidate& candidate : candidates) {
        if (candidate.usable()) list[count++] = candidate.table().name;
      }
    }
  };
  static const Names names;
  return names.list;
}

}  // namespace onebit
