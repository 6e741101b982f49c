"""One bit: the sign of a tensor, and estimators of its gradient.

The derivative of the sign is zero almost everywhere, so each quantiser replaces it in the backward pass by the
derivative of a smoother function. This is their only difference.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from onebit.quantize.closed_form import Estimator, SignForm

Derivative = Callable[[Tensor], Tensor]


def sign(x: Tensor) -> Tensor:
    """The sign of every element, with sign(0) = sign(−0.0) = +1, so that the result takes one bit. Carries no gradient.

    Args:
        x: floating point, any shape.

    Returns:
        ±1 in the shape and dtype of ``x``.

    Example:
        >>> sign(torch.tensor([-2.0, -0.0, 0.0, 0.5]))
        tensor([-1.,  1.,  1.,  1.])
    """
    x = x.detach()
    if torch.compiler.is_compiling():  # it plans memory itself, and knows no out=
        return torch.ge(x, 0).to(x.dtype).mul_(2).sub_(1)
    return torch.ge(x, 0, out=torch.empty_like(x)).mul_(2).sub_(1)


class _Binarize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, derivative: Derivative | None) -> Tensor:
        ctx.derivative = derivative
        if derivative is not None:
            ctx.save_for_backward(x)
        return sign(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        if ctx.derivative is None:
            return gradient, None
        (x,) = ctx.saved_tensors
        return ctx.derivative(x).mul_(gradient), None


def binarize(x: Tensor, derivative: Derivative | None = None) -> Tensor:
    """:func:`sign` with a gradient estimator.

    Args:
        x: floating point, any shape.
        derivative: maps ``x`` to a new tensor of its shape, by which the incoming gradient is multiplied; None passes
            the gradient on unchanged.

    Returns:
        ±1 in the shape and dtype of ``x``.

    Example:
        >>> x = torch.tensor([-0.5, 2.0], requires_grad=True)
        >>> binarize(x, lambda x: x**2).sum().backward()
        >>> x.grad
        tensor([0.2500, 4.0000])
    """
    return _Binarize.apply(x, derivative)


class BinaryQuantizer(nn.Module, ABC):
    """A sign whose gradient is estimated with :meth:`derivative`; the base of the quantisers below."""

    precision = 1

    @abstractmethod
    def derivative(self, x: Tensor) -> Tensor:
        """The estimate of d sign / dx: a new tensor of the shape of ``x``."""

    def forward(self, x: Tensor) -> Tensor:
        return binarize(x, self.derivative)


class Sign(BinaryQuantizer):
    """Clipped straight-through estimator: the gradient of the hard tanh.

    Forward: q(x) = +1 for x ≥ 0, −1 otherwise.

    Gradient: dq/dx = 1 for |x| ≤ 1, 0 otherwise.

    ![forward and gradient](images/sign.svg)

    Reference: Hubara et al., "Binarized Neural Networks", NeurIPS 2016, arXiv 1602.02830, section 1.3.

    Example:
        >>> x = torch.tensor([-1.5, -1.0, 0.0, 0.5], requires_grad=True)
        >>> y = Sign()(x)
        >>> y.detach()
        tensor([-1., -1.,  1.,  1.])
        >>> y.sum().backward()
        >>> x.grad
        tensor([0., 1., 1., 1.])
    """

    def derivative(self, x: Tensor) -> Tensor:
        return x.abs().le_(1)

    def closed_form(self) -> SignForm:
        return SignForm(Estimator.CLIPPED)


class ApproxSign(BinaryQuantizer):
    """The gradient of a piecewise quadratic approximation of the sign, sharper near zero than :class:`Sign`.

    Forward: q(x) = +1 for x ≥ 0, −1 otherwise.

    Gradient: dq/dx = max(0, 2 − 2|x|).

    ![forward and gradient](images/approx_sign.svg)

    Reference: Liu et al., "Bi-Real Net", ECCV 2018, arXiv 1808.00278, section 3.3.

    Example:
        >>> x = torch.tensor([-1.5, -0.75, 0.0, 0.5], requires_grad=True)
        >>> ApproxSign()(x).sum().backward()
        >>> x.grad
        tensor([0.0000, 0.5000, 2.0000, 1.0000])
    """

    def derivative(self, x: Tensor) -> Tensor:
        return x.abs().mul_(-2).add_(2).clamp_min_(0)

    def closed_form(self) -> SignForm:
        return SignForm(Estimator.QUADRATIC)


class IdentitySign(BinaryQuantizer):
    """Plain straight-through estimator: the gradient passes as if the sign were the identity.

    Forward: q(x) = +1 for x ≥ 0, −1 otherwise.

    Gradient: dq/dx = 1.

    ![forward and gradient](images/identity_sign.svg)

    Reference: Bengio et al., "Estimating or Propagating Gradients Through Stochastic Neurons", arXiv 1308.3432.

    Example:
        >>> x = torch.tensor([-9.0, 0.5], requires_grad=True)
        >>> IdentitySign()(x).sum().backward()
        >>> x.grad
        tensor([1., 1.])
    """

    def derivative(self, x: Tensor) -> Tensor:
        return torch.ones_like(x)

    def forward(self, x: Tensor) -> Tensor:
        return binarize(x)  # without a derivative nothing is kept for the backward pass

    def closed_form(self) -> SignForm:
        return SignForm(Estimator.IDENTITY)


class SwishSign(BinaryQuantizer):
    """The gradient of the SignSwish, which is slightly negative beyond its bump.

    Forward: q(x) = +1 for x ≥ 0, −1 otherwise.

    Gradient: dq/dx = β (2 − βx tanh(βx / 2)) / (1 + cosh(βx)).

    ![forward and gradient](images/swish_sign.svg)

    Args:
        beta: β; the larger, the closer to the derivative of the sign.

    Reference: Darabi et al., "BNN+: Improved Binary Network Training", arXiv 1812.11800.

    Example:
        >>> x = torch.tensor([0.0, 100.0], requires_grad=True)
        >>> SwishSign(beta=5.0)(x).sum().backward()
        >>> x.grad.abs()
        tensor([5., 0.])
    """

    def __init__(self, beta: float = 5.0) -> None:
        super().__init__()
        self.beta = beta

    def derivative(self, x: Tensor) -> Tensor:
        scaled = x * self.beta
        bump = (scaled / 2).tanh_().mul_(scaled).neg_().add_(2).mul_(self.beta)
        return bump.div_(scaled.cosh_().add_(1))

    def closed_form(self) -> SignForm:
        return SignForm(Estimator.SWISH, (self.beta,))

    def extra_repr(self) -> str:
        return f"beta={self.beta}"


class MagnitudeAwareSign(Sign):
    """For weights: the sign times the mean magnitude of its output channel.

    Forward: q(w) = α_c sign(w) with α_c = mean |w| over output channel c (dimension 0).

    Gradient: dq/dw = α_c for |w| ≤ 1, 0 otherwise. α is taken as a constant, as in Larq; the paper's released PyTorch
    code leaves the factor α out of the gradient, its equation has it.

    ![forward and gradient](images/magnitude_aware_sign.svg)

    Reference: Liu et al., "Bi-Real Net", ECCV 2018, arXiv 1808.00278, section 3.3.

    Example:
        >>> w = torch.tensor([[-0.5, 1.5], [0.25, 0.25]], requires_grad=True)
        >>> q = MagnitudeAwareSign()(w)
        >>> q.detach()
        tensor([[-1.0000,  1.0000],
                [ 0.2500,  0.2500]])
        >>> q.sum().backward()
        >>> w.grad
        tensor([[1.0000, 0.0000],
                [0.2500, 0.2500]])
    """

    def magnitude(self, w: Tensor) -> Tensor:
        """α, (O, 1, ...)."""
        return w.detach().abs().mean(dim=tuple(range(1, w.dim())), keepdim=True)

    def forward(self, w: Tensor) -> Tensor:
        return self.magnitude(w) * super().forward(w)
