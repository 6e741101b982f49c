// The choice of instruction set.
#include "kernels_support.h"
#include "support/environment.h"

int main() {
  using namespace onebit;
  using test::set_environment;
  set_environment("ONEBIT_ISA", "");
  const char* const* names = available_kernels();
  CHECK(names[0] && select_kernels("") == select_kernels(names[0]), "the best table comes first");
  bool portable = false, reference = false;
  for (const char* const* name = names; *name; ++name) {
    const Kernels* kernels = select_kernels(*name);
    CHECK(kernels && std::strcmp(kernels->name, *name) == 0, "%s", *name);
    set_environment("ONEBIT_ISA", *name);
    CHECK(select_kernels("") == kernels, "ONEBIT_ISA=%s is ignored", *name);
    CHECK(select_kernels("reference") == &reference_kernels(), "a name given in the call goes before ONEBIT_ISA");
    portable = portable || kernels == &portable_kernels();
    reference = reference || kernels == &reference_kernels();
  }
  CHECK(portable && reference, "portable and reference are everywhere");
  set_environment("ONEBIT_ISA", "sse9");
  CHECK(!select_kernels(""), "an unknown ONEBIT_ISA is refused");
  CHECK(!select_kernels("AVX2") && !select_kernels("avx"), "names are exact");
  set_environment("ONEBIT_ISA", "");
  CHECK(select_kernels("") == select_kernels(names[0]), "an empty ONEBIT_ISA chooses nothing");
  for (const char* const* name = names; *name; ++name) std::printf("%s\n", *name);
}
