#include <nanobind/nanobind.h>

void bind_learner(nanobind::module_&) {}
