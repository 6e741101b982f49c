"""ReActNet's sign with a learned threshold."""

import torch
from torch import Tensor, nn

from onebit.quantize import ApproxSign, Estimator, SignForm


class RSign(ApproxSign):
    """A sign with a learned threshold α in each channel; serves as the ``input_quantizer`` of a binary layer.

    Forward: q(x) = sign(x − α_c), with sign(0) = +1.

    Gradient: dq/dx = max(0, 2 − 2|x − α_c|), and dq/dα_c = −dq/dx, summed over the channel.

    ![forward and gradient](images/rsign.svg)

    Args:
        channels: size of dimension 1 of the input.

    The paper has −1 where x = α. Its released code keeps −α, as a bias that is added.

    Reference: Liu et al., "ReActNet", ECCV 2020, arXiv 2003.03488, equation 1.

    Example:
        >>> rsign = RSign(2)
        >>> with torch.no_grad():
        ...     _ = rsign.alpha.copy_(torch.tensor([0.0, 3.0]))
        >>> rsign(torch.tensor([[1.0, 1.0]])).detach()
        tensor([[ 1., -1.]])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - self.alpha.view(-1, *[1] * (x.dim() - 2)))

    def closed_form(self) -> SignForm:
        return SignForm(Estimator.QUADRATIC, threshold=self.alpha)

    def extra_repr(self) -> str:
        return f"{len(self.alpha)}"
