"""A learned scale per output channel."""

import torch
from torch import Tensor, nn

from onebit.quantize import OutputForm


class ChannelScale(nn.Module):
    """Multiplies each channel (dimension 1) by its own learned α, which starts from U[0, 1).

    Args:
        channels: C, the length of ``alpha``.

    Example:
        >>> ChannelScale(3)(torch.zeros(2, 3, 5, 5)).shape
        torch.Size([2, 3, 5, 5])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.rand(channels))

    def forward(self, y: Tensor) -> Tensor:
        return y * self.alpha.view(-1, *[1] * (y.dim() - 2))

    def closed_form(self) -> OutputForm:
        return OutputForm(scale=self.alpha)
