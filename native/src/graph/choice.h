// Which of a list's kernels a convolution takes: the first that fits or, of rivals, the fastest, as measured here on
// made-up data of that shape.
//
// Kernels of a list give the same bits, so a choice never changes an answer. It is made once a process: whoever asks
// again, in whatever thread, gets the same. A measurement takes at most some milliseconds, in which others wait.
#pragma once

#include "kernels/kernels.h"

namespace onebit {

// The place in `list`, which lives as long as the process. Throws std::bad_alloc.
template <class Kernel>
int32_t choose_kernel(const KernelList<Kernel>& list, const ConvShape& shape);

}  // namespace onebit
