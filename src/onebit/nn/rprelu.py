"""ReActNet's PReLU with learned shifts."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class RPReLU(nn.Module):
    """A PReLU that is shifted along both axes by learned values in each channel.

    Forward: f(x) = x − γ_c + ζ_c for x > γ_c, β_c (x − γ_c) + ζ_c otherwise.

    Gradient: df/dx = 1 for x > γ_c, β_c otherwise.

    ![forward and gradient](images/rprelu.svg)

    Args:
        channels: size of dimension 1 of the input.

    Starts with γ = ζ = 0 and β = 0.25.

    Reference: Liu et al., "ReActNet", ECCV 2020, arXiv 2003.03488, equation 2.

    Example:
        >>> RPReLU(2)(torch.tensor([[-4.0, 3.0]])).detach()
        tensor([[-1.,  3.]])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.full((channels,), 0.25))
        self.zeta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        shape = (-1, *[1] * (x.dim() - 2))
        return functional.prelu(x - self.gamma.view(shape), self.beta) + self.zeta.view(shape)

    def extra_repr(self) -> str:
        return f"{len(self.beta)}"
