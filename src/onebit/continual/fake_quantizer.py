"""The quantiser of simulated quantised training, per tensor and asymmetric::

    Q_b(x) = round((clip(x, min, max) - min) s) / s + min,   s = (2^b - 1) / (max - min),   halves to even

Source: the first author's scripts to Vorabbi, Maltoni, Santi, arXiv 2308.15308 and 2401.09916.
"""

import torch
from torch import Tensor


def fake_quantize(
    x: Tensor, bits: int, low: Tensor | float | None = None, high: Tensor | float | None = None
) -> Tensor:
    """Q_b(x) over [low, high], by default the tensor's own range. Carries no gradient.

    A tensor of one value passes unchanged, as does one whose values are so near that s would be infinite.

    Args:
        x: any shape.
        bits: b.
        low, high: min and max.

    Example:
        >>> fake_quantize(torch.tensor([-1.0, 0.2, 0.4, 2.0]), 2)
        tensor([-1.,  0.,  0.,  2.])
        >>> fake_quantize(torch.tensor([3.0, 3.0]), 8)
        tensor([3., 3.])
    """
    x = x.detach()
    low = x.min() if low is None else x.new_tensor(low)
    high = x.max() if high is None else x.new_tensor(high)
    scale = x.new_tensor(2**bits - 1) / (high - low)
    if not 0 < scale < torch.inf:
        return x.clone()
    return torch.round((x.clamp(low, high) - low) * scale) / scale + low


def quantize_head(weight: Tensor, bits: int) -> Tensor:
    """Q_b of the rows of a head, over their own range widened by 2 % of itself on each side.

    Example:
        >>> quantize_head(torch.tensor([[0.0, 0.3, 1.0]]), 1)
        tensor([[-0.0200, -0.0200,  1.0200]])
    """
    low, high = weight.min(), weight.max()
    margin = 0.02 * (high - low)
    return fake_quantize(weight, bits, float(low - margin), float(high + margin))
