#include "kernels/vector/binarize.h"

#include "kernels/avx512/avx512.h"
#include "kernels/avx512/isa.h"

namespace onebit::avx512 {

void binarize(const BinarizeArgs& args, int64_t begin, int64_t end) { binarize_rows<Avx512>(args, begin, end); }

}  // namespace onebit::avx512
