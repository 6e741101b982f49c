// The instruction sets of this build, and the one place that chooses among them.
//
// A set is a folder here and a line of isas.txt. In the folder,
//   isa.cmake  says on which processors it can be built, and with which flags of the compiler;
//   tables.h   declares its tables, which its other files define;
//   entry.cpp  defines `isa`. It alone is compiled without those flags, since it asks whether the CPU has the rest.
#pragma once

#include "kernels/fused.h"
#include "kernels/head.h"
#include "kernels/kernels.h"
#include "kernels/sign_product.h"
#include "kernels/tail.h"
#include "kernels/training.h"

namespace onebit {

// In an entry null stands for portable's.
struct Isa {
  bool (*usable)();  // whether the CPU has the instructions and the operating system saves their registers
  const Kernels& (*kernels)();
  const HeadKernels& (*head)();
  const TailKernels& (*tail)();
  const SignKernels& (*signs)();
  const TrainingKernels& (*training)();  // null from select_isa() if it does not train
  const FusedKernels& (*fused)();
  bool trains = true;
};

constexpr bool always() { return true; }

// The set called `name`, or the best one for "" (after the environment variable ONEBIT_ISA), with portable's tables
// where it lacks its own. Null if this build or this CPU lacks it.
const Isa* select_isa(const char* name);

// select_isa(""). Throws Error if ONEBIT_ISA names none of this machine.
const Isa& best_isa();

// Names that select_isa accepts here, best first; ends with null.
const char* const* available_isas();

}  // namespace onebit
