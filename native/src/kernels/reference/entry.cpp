#include "kernels/reference/tables.h"
#include "kernels/registry.h"

namespace onebit::reference {

extern const Isa isa = {always, kernels, nullptr, nullptr, nullptr, nullptr, nullptr, false};

}  // namespace onebit::reference
