// CycleBNN's sign of activations: x / deviation on 2^b levels, then the sign (arXiv 2410.00050, as released).
#pragma once

namespace onebit {

// The least x whose level is not negative, in the float arithmetic of PyTorch's own operators:
//   rint(clamp((x / deviation - minimum) / step, 0, levels)) * step + minimum >= 0
// Infinity where there is none. The left side never falls as x rises, so this is the sign's only threshold.
float cyclic_threshold(float deviation, float minimum, float step, float levels);

}  // namespace onebit
