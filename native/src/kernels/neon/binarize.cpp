#include "kernels/vector/binarize.h"

#include "kernels/neon/isa.h"
#include "kernels/neon/neon.h"

namespace onebit::neon {

void binarize(const BinarizeArgs& args, int64_t begin, int64_t end) { binarize_rows<Neon>(args, begin, end); }

}  // namespace onebit::neon
