// Which of a list's kernels a convolution takes: the first that fits or, of candidates, the fastest, as measured here
// on made-up data of that shape.
//
// Kernels of a list give the same bits, so a choice never changes a result. It is made once per process: whoever asks
// again, in whatever thread, gets the same. A measurement takes some milliseconds, in which others wait.
#pragma once

#include <variant>
#include <vector>

#include "kernels/kernels.h"

namespace onebit {

// A convolution and the list that it takes a kernel from, which lives as long as the process.
struct KernelQuery {
  std::variant<const KernelList<FloatConvKernel>*, const KernelList<BinaryConvKernel>*,
               const KernelList<Int8ConvKernel>*>
      list;
  ConvShape shape;
};

// The kernel's place in the list. Throws std::bad_alloc, if the choice is not made yet.
int32_t choose_kernel(const KernelQuery& query);

template <class Kernel>
int32_t choose_kernel(const KernelList<Kernel>& list, const ConvShape& shape) {
  return choose_kernel(KernelQuery{&list, shape});
}

// The place for each query. To ask for all convolutions of a plan at once makes the measurements steadier: the runs
// of a kernel are spread over the time that all take. Throws std::bad_alloc.
std::vector<int32_t> choose_kernels(const std::vector<KernelQuery>& queries);

}  // namespace onebit
