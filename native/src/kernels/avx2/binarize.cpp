#include "kernels/vector/binarize.h"

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/isa.h"

namespace onebit::avx2 {

void binarize(const BinarizeArgs& args, int64_t begin, int64_t end) { binarize_rows<Avx2>(args, begin, end); }

}  // namespace onebit::avx2
