"""Zero channels, for shortcuts between stages of different width."""

from torch import Tensor, nn
from torch.nn import functional


class PadChannels(nn.Module):
    """Adds zero channels before and after those of the input.

    Args:
        before, after: how many.

    Shapes: input (N, C, H, W), output (N, before + C + after, H, W).

    Reference: He et al., "Deep Residual Learning", CVPR 2016, arXiv 1512.03385, section 3.3, shortcut A.

    Example:
        >>> import torch
        >>> PadChannels(1, 1)(torch.ones(1, 2, 1, 1)).flatten()
        tensor([0., 1., 1., 0.])
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.before = before
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x, (0, 0, 0, 0, self.before, self.after))

    def extra_repr(self) -> str:
        return f"{self.before}, {self.after}"
