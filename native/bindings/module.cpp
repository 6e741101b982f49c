// The Python extension onebit._engine: bindings over the C API, and over gradient/ and training/, which have none; one file
// per part.
#include <nanobind/nanobind.h>

namespace nb = nanobind;

void bind_engine(nb::module_& m);
void bind_learner(nb::module_& m);
void bind_training(nb::module_& m);
void bind_units(nb::module_& m);

NB_MODULE(_engine, m) {
  m.doc() = "Native engine of onebit; use onebit.load and onebit.Learner.";
  bind_engine(m);
  bind_learner(m);
  bind_training(m);
  bind_units(m);
}
