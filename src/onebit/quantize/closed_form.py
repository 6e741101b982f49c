"""Closed forms: the function of a module, in numbers, for kernels that compute it in the module's place.

A module has one if its own class, not a base of it, defines ``closed_form()``: a subclass may compute anything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from torch import Tensor, nn


class Estimator(IntEnum):
    """The estimator of the derivative of the sign at u, by the engine's numbers."""

    IDENTITY = 0
    """1"""
    CLIPPED = 1
    """1 for |u| ≤ 1, else 0"""
    QUADRATIC = 2
    """max(0, 2 − 2|u|)"""
    TANH = 3
    """k t (1 − tanh²(t u)), with the parameters t and k"""
    SWISH = 4
    """β (2 − βu tanh(βu / 2)) / (1 + cosh(βu)), with the parameter β"""
    STAIRCASE = 5
    """max(0, 2 − 2|û|), û the b-bit value of u: of a sample's x / D_n; see :class:`SampleScale`"""


@dataclass(frozen=True)
class SampleScale:
    """u = x / D_n with D_n = √(var_n(x) + epsilon) of sample n, through which the gradient flows, too.

    Args:
        epsilon: see above.
        bits: b, if the sign is that of u on 2^b levels over the batch's range; None for the sign of u.
        follow: called with the minimum and the range of u over the batch (scalars) and D (N,), once per forward pass.
    """

    epsilon: float
    bits: int | None = None
    follow: Callable[[Tensor, Tensor, Tensor], None] | None = None


@dataclass(frozen=True)
class SignForm:
    """sign(u), u = x − threshold, with an estimator.

    Args:
        estimator: that of the derivative at u.
        parameters: those of the estimator.
        threshold: (C,), learned, its gradient minus that of x, summed over the channel; None for 0.
        scale: a scale per sample, in place of a threshold.
    """

    estimator: Estimator
    parameters: tuple[float, ...] = ()
    threshold: Tensor | None = None
    scale: SampleScale | None = None


@dataclass(frozen=True)
class OutputForm:
    """The operations after a product: the gradient's quantiser, then a scale.

    Args:
        quantizer: has ``bits``; None leaves the gradient as it is.
        scale: (O,), learned; None for 1.
        of_product: whether the quantiser sees the gradient of the product of ±1 by ±1, whatever the weights' scale.
    """

    quantizer: Any = None
    scale: Tensor | None = None
    of_product: bool = False


def closed_form(module: nn.Module) -> Any:
    """The closed form of a module, or None.

    Example:
        >>> from onebit.quantize import Sign
        >>> closed_form(Sign()).estimator.name
        'CLIPPED'
        >>> class Other(Sign):
        ...     def derivative(self, x):
        ...         return x
        >>> closed_form(Other()) is None
        True
    """
    return module.closed_form() if "closed_form" in vars(type(module)) else None  # type: ignore[operator]


def output_form(module: nn.Module) -> OutputForm | None:
    """The form of a layer's ``output_transform``: nothing, a gradient's quantiser, a scale, or these two in this order.

    Example:
        >>> from onebit.quantize import GradientQuantizer
        >>> output_form(nn.Sequential(GradientQuantizer(6))).quantizer.bits
        6
        >>> output_form(nn.ReLU()) is None
        True
    """
    if type(module) is nn.Identity:
        return OutputForm()
    if type(module) is not nn.Sequential:
        return closed_form(module)
    form = OutputForm()
    for step in module:
        behind = output_form(step)
        if behind is None or form.scale is not None or (form.quantizer and behind.quantizer):
            return None
        form = OutputForm(form.quantizer or behind.quantizer, behind.scale, form.of_product or behind.of_product)
    return form
