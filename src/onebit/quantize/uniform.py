"""k bits: the uniform affine quantiser, per tensor and per channel."""

from typing import Any

import torch
from torch import Tensor

from onebit.quantize.bits import KBitQuantizer, check_bits

MINIMUM_SCALE = 1e-8


def measure(x: Tensor, axis: int | None = None) -> tuple[Tensor, Tensor]:
    """The smallest value of a tensor and its range, maximum − minimum. Carries no gradient.

    Args:
        x: any shape.
        axis: the dimension of the channels, each with a range of its own; none for one range.

    Returns:
        minimum and range: scalars, or of a shape that broadcasts against ``x``.

    Example:
        >>> measure(torch.tensor([[0.0, 1.0], [2.0, 6.0]]), axis=0)
        (tensor([[0.],
                 [2.]]), tensor([[1.],
                 [4.]]))
    """
    x = x.detach()
    if axis is None:
        minimum, maximum = x.aminmax()
    else:
        others = tuple(d for d in range(x.dim()) if d != axis % x.dim())
        minimum, maximum = x.amin(others, keepdim=True), x.amax(others, keepdim=True)
    return minimum, maximum - minimum


def step_size(bits: int, extent: Tensor) -> Tensor:
    """s = max(range / (2^b − 1), 1e-8), the distance between two levels.

    Example:
        >>> step_size(2, torch.tensor(6.0))
        tensor(2.)
    """
    return (extent / (2**bits - 1)).clamp_min(MINIMUM_SCALE)


class _Quantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: int, minimum: Tensor, extent: Tensor) -> Tensor:
        scale = step_size(bits, extent)
        # half-precision floats have too few bits for the levels
        work = x.to(torch.promote_types(x.dtype, torch.float32))
        levels = (work - minimum).div_(scale).clamp_(0, 2**bits - 1).round_()
        return levels.mul_(scale).add_(minimum).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return gradient, None, None, None


def quantize(x: Tensor, bits: int, minimum: Tensor, extent: Tensor) -> Tensor:
    """Uniform affine quantisation with a given range.

    Forward: x̂ = q s + min with q = round(clamp((x − min) / s, 0, 2^b − 1)) and s = max(range / (2^b − 1), 1e-8);
    halves round to even.

    Gradient: dx̂/dx = 1 everywhere; none to the range.

    ![forward and gradient](images/uniform.svg)

    Args:
        x: any shape.
        bits: b, 1 to 24.
        minimum, extent: min and range, that broadcast against ``x``; see :func:`measure`.

    Returns:
        x̂ in the shape and dtype of ``x``.

    Raises:
        OnebitError: another number of bits.

    Reference: Fontana et al., "CycleBNN", arXiv 2410.00050, and its released code.

    Example:
        >>> x = torch.tensor([-1.0, -0.2, 0.4, 2.0])
        >>> quantize(x, 2, *measure(x))
        tensor([-1.,  0.,  0.,  2.])
    """
    return _Quantize.apply(x, check_bits(bits), minimum, extent)


class UniformQuantizer(KBitQuantizer):
    """Quantises activations to k bits; in evaluation over the running mean of the ranges in training.

    Forward and gradient: those of :func:`quantize`. In training min and range are those of the batch, and the running
    values move to 0.9 running + 0.1 batch, starting at 0. As in the released code there is no bias correction for that
    start: after n batches they are short by a share of 0.9^n.

    ![forward and gradient](images/uniform.svg)

    Args:
        bits: 1 to 24; may be set at any time.
        channels: None for one range per tensor, or the number of channels (dimension 1) for one range per channel.
        momentum: share of the old running value that is kept.

    Reference: Fontana et al., "CycleBNN", arXiv 2410.00050, and its released code.

    Example:
        >>> quantizer = UniformQuantizer(bits=2, momentum=0.0)
        >>> x = torch.tensor([[0.0, 1.1, 2.9, 3.0]])
        >>> quantizer(x)
        tensor([[0., 1., 3., 3.]])
        >>> quantizer.eval()(torch.tensor([[-7.0, 0.6, 99.0]]))
        tensor([[0., 1., 3.]])
    """

    running_minimum: Tensor
    running_range: Tensor

    def __init__(self, bits: int, channels: int | None = None, momentum: float = 0.9) -> None:
        super().__init__(bits)
        self.channels = channels
        self.momentum = momentum
        size = () if channels is None else (channels,)
        self.register_buffer("running_minimum", torch.zeros(size))
        self.register_buffer("running_range", torch.zeros(size))

    @property
    def scale(self) -> Tensor:
        """Distance between two levels in evaluation: a scalar, or one per channel."""
        return step_size(self.bits, self.running_range)

    @property
    def zero(self) -> Tensor:
        """The lowest level in evaluation: a scalar, or one per channel."""
        return self.running_minimum

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            minimum, extent = measure(x, None if self.channels is None else 1)
            self.running_minimum.lerp_(
                minimum.to(self.running_minimum).view_as(self.running_minimum), 1 - self.momentum
            )
            self.running_range.lerp_(extent.to(self.running_range).view_as(self.running_range), 1 - self.momentum)
        else:
            shape = () if self.channels is None else (-1, *[1] * (x.dim() - 2))
            minimum, extent = self.running_minimum.view(shape), self.running_range.view(shape)
        return quantize(x, self.bits, minimum, extent)


class UniformWeightQuantizer(KBitQuantizer):
    """Quantises weights to k bits over their own range, one per output channel (dimension 0), in training and
    evaluation.

    Forward and gradient: those of :func:`quantize`.

    ![forward and gradient](images/uniform.svg)

    Args:
        bits: 1 to 24; may be set at any time.

    Reference: Fontana et al., "CycleBNN", arXiv 2410.00050, and its released code.

    Example:
        >>> UniformWeightQuantizer(bits=1)(torch.tensor([[-1.0, -0.5, 1.0], [2.0, 2.9, 4.0]]))
        tensor([[-1., -1.,  1.],
                [ 2.,  2.,  4.]])
    """

    def forward(self, w: Tensor) -> Tensor:
        return quantize(w, self.bits, *measure(w, axis=0))
