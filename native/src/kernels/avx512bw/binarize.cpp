#include "kernels/vector/binarize.h"

#include "kernels/avx512/isa.h"
#include "kernels/avx512bw/avx512bw.h"

namespace onebit::avx512bw {

void binarize(const BinarizeArgs& args, int64_t begin, int64_t end) { binarize_rows<Avx512>(args, begin, end); }

}  // namespace onebit::avx512bw
