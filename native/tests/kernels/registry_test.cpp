// The registry of instruction sets.
#include "kernels/registry.h"

#include "kernels/portable/tables.h"
#include "kernels/reference/tables.h"
#include "support/environment.h"
#include "support/random_cases.h"

int main() {
  using namespace onebit;
  using test::set_environment;
  set_environment("ONEBIT_ISA", "");
  const char* const* names = available_isas();
  CHECK(names[0] && select_isa("") == select_isa(names[0]), "the best set comes first");
  bool portable = false, reference = false;
  for (const char* const* name = names; *name; ++name) {
    const Isa* isa = select_isa(*name);
    CHECK(isa && std::strcmp(isa->kernels().name, *name) == 0, "%s", *name);
    CHECK(isa->head && isa->tail && isa->signs && isa->fused, "%s lacks a table", *name);
    set_environment("ONEBIT_ISA", *name);
    CHECK(select_isa("") == isa && &best_isa() == isa, "ONEBIT_ISA=%s is ignored", *name);
    CHECK(&select_isa("reference")->kernels() == &reference::kernels(), "a name in the call goes before ONEBIT_ISA");
    portable = portable || &isa->kernels() == &portable::kernels();
    reference = reference || &isa->kernels() == &reference::kernels();
    CHECK(!isa->training == (&isa->kernels() == &reference::kernels()), "all but the reference train: %s", *name);
  }
  CHECK(portable && reference, "portable and reference are everywhere");
  CHECK(&select_isa("reference")->head() == &portable::head(), "what a set lacks is portable's");
  set_environment("ONEBIT_ISA", "sse9");
  CHECK(!select_isa(""), "an unknown ONEBIT_ISA is refused");
  CHECK(!select_isa("AVX2") && !select_isa("avx"), "names are exact");
  set_environment("ONEBIT_ISA", "");
  CHECK(select_isa("") == select_isa(names[0]), "an empty ONEBIT_ISA chooses nothing");
  for (const char* const* name = names; *name; ++name) std::printf("%s\n", *name);
}
