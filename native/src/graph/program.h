// Compiles a model for a device without an operating system (run/program.h).
#pragma once

#include "graph/plan.h"
#include "run/program.h"

namespace onebit {

// For one sample at a time, with the portable kernels. `outputs` are the names wanted, all if empty. The result begins
// with its ProgramHeader, which says its size, and is aligned to 64; the same model gives the same bytes. Throws Error.
AlignedMemory compile(std::shared_ptr<const Model> model, const std::vector<std::string>& outputs);

}  // namespace onebit
