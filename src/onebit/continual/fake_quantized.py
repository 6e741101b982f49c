"""Quantised training simulated in float32, at any number of bits.

Everything passes through Q_b of :mod:`onebit.continual.fake_quantizer`. q_f bits are for the forward pass,
q_b for gradients and real-valued weights, q_w for latent binary weights.

Sources: Vorabbi, Maltoni, Santi, arXiv 2308.15308 (the head) and 2401.09916 (the layers below it), with the first
author's scripts. What is taken differently is said in each class.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from onebit.continual.arithmetic import Arithmetic
from onebit.continual.fake_quantizer import fake_quantize, quantize_head
from onebit.nn import BinaryConv2d, BinaryLinear, RPReLU
from onebit.nn.binary_layer import BinaryLayer

_OUTPUTS = (
    BinaryConv2d,
    BinaryLinear,
    nn.Conv2d,
    nn.Linear,
    nn.PReLU,
    RPReLU,
    nn.AvgPool2d,
    nn.MaxPool2d,
    nn.AdaptiveAvgPool2d,
)
_NORMS = (nn.modules.batchnorm._BatchNorm,)


class Hybrid(Arithmetic):
    """A head over frozen features, with q_f bits forward and a master weight of q_b bits.

        x^ = Q_qf(x, feature_range);  W^ = Q_qf(W, widened);  p^ = Q_qf(softmax(x^ W^T), [0, 1])
        d^ = clip(round(L (p^ - onehot) / 2), -2^(q_f - 1), 2^(q_f - 1) - 1) 2 / (L B),  L = 2^q_f - 1
        W <- Q_qb(W - lr d^T x^)

    The papers calibrate the range of the error on experience 0; here it is the one that it cannot leave, with zero on
    the grid, as in the native learner. The master keeps q_b bits and W^ is made from it (the scripts update W^ itself,
    and lose what is smaller than half a step).

    Args:
        feature_range: (min, max) of the features on experience 0.
        forward_bits, backward_bits: q_f, q_b.

    Source: arXiv 2308.15308.

    Example:
        >>> head = Hybrid((-1.0, 1.0), forward_bits=1)
        >>> head.logits(torch.tensor([[0.2, -5.0]]), torch.tensor([[1.0, 1.0], [0.0, 1.0]]))
        tensor([[ 0.0000, -1.0400]])
    """

    def __init__(self, feature_range: tuple[float, float], forward_bits: int = 8, backward_bits: int = 16) -> None:
        self.feature_range = feature_range
        self.forward_bits, self.backward_bits = forward_bits, backward_bits

    def inputs(self, features: Tensor) -> Tensor:
        """x^."""
        return fake_quantize(features, self.forward_bits, *self.feature_range)

    def logits(self, features: Tensor, weight: Tensor) -> Tensor:
        return self.inputs(features) @ quantize_head(weight, self.forward_bits).T

    def loss(self, features: Tensor, weight: Tensor, labels: Tensor, known: Tensor) -> Tensor:
        return _Head.apply(features, weight, labels, known, self)

    def error(self, error: Tensor) -> Tensor:
        """The quantised gradient of the logits, from p^ - onehot."""
        levels, maximum = 2**self.forward_bits - 1, 2 ** (self.forward_bits - 1)
        halves = torch.round(torch.round(error * levels) / 2)
        return halves.clamp(-maximum, maximum - 1) * (2 / (levels * len(error)))

    def gradient(self, gradient: Tensor) -> Tensor:
        """The quantised gradient of weight or features."""
        return gradient

    @torch.no_grad()
    def after_step(self, weight: Tensor, tail: nn.Module) -> None:
        weight.copy_(fake_quantize(weight, self.backward_bits))


class FullyQuantized(Hybrid):
    """Head and tail, forward and backward.

        head:          d = Q_qb((p^ - y) / B);  dW = Q_qb(d^T x^);  dx = Q_qb(d W);  W <- Q_qb(W - lr dW)
        between two layers: Q_qf of the output, Q_qb of the gradient
        real-valued convolution: forward as it is; backward with Q_qb(x), Q_qb(W), dW <- Q_qb(dW);  W <- Q_qb(W - lr dW)
        binary convolution: dx with Q_qb(alpha sign W);  dW = Q_qw(conv-grad(sign x, g)), then times the derivative of
                       the weight's quantiser;  W <- clip(Q_qw(Q_qw(W) - lr dW), -1, 1)
        slopes, shifts and biases: Q_qb of gradient and value;  BatchNorm: float

    The estimators of sign x and sign W are those of the network's own quantisers: with ApproxSign and
    MagnitudeAwareSign the derivatives are 2 (1 - |x|) and alpha where |W| <= 1. Ranges are those of the tensor in
    training, and in evaluation, where no output may depend on its batch, their running mean (0.9 of the
    old). The slope of PReLU has its true gradient, the update base of W is Q_qw(W), and padding is the same forward and
    backward, in all of which the scripts err.

    Args:
        forward_bits, backward_bits, weight_bits: q_f, q_b, q_w.

    Source: arXiv 2401.09916.

    Example:
        >>> tail = nn.Sequential(BinaryConv2d(2, 3, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> FullyQuantized(forward_bits=2).attach(tail)
        >>> len(tail(torch.randn(5, 2, 4, 4)).unique()) <= 4
        True
    """

    def __init__(self, forward_bits: int = 8, backward_bits: int = 16, weight_bits: int = 8) -> None:
        super().__init__((0.0, 0.0), forward_bits, backward_bits)
        self.weight_bits = weight_bits

    def attach(self, tail: nn.Module) -> None:
        for module in list(tail.modules()):
            if isinstance(module, BinaryLayer):
                module.product = _Product(module.product, self.backward_bits, self.weight_bits)  # type: ignore[method-assign]
            elif isinstance(module, nn.Conv2d | nn.Linear):
                module.forward = _RealForward(module, self.backward_bits)  # type: ignore[assignment]
            if isinstance(module, _OUTPUTS):
                module.register_forward_hook(self._boundary())
        entrance = self._boundary()
        tail.register_forward_pre_hook(lambda module, inputs: (entrance(module, None, inputs[0]),))
        tail.register_forward_hook(self._boundary())

    def _boundary(self) -> "_Boundary":
        return _Boundary(self.forward_bits, self.backward_bits)

    def inputs(self, features: Tensor) -> Tensor:
        return features  # quantised where they leave the tail

    def error(self, error: Tensor) -> Tensor:
        return fake_quantize(error / len(error), self.backward_bits)

    def gradient(self, gradient: Tensor) -> Tensor:
        return fake_quantize(gradient, self.backward_bits)

    @torch.no_grad()
    def before_step(self, weight: Tensor, tail: nn.Module) -> None:
        for parameter, latent in _parameters(tail):
            if latent:
                parameter.copy_(fake_quantize(parameter, self.weight_bits))
            elif parameter.grad is not None:
                parameter.grad = fake_quantize(parameter.grad, self.backward_bits)

    @torch.no_grad()
    def after_step(self, weight: Tensor, tail: nn.Module) -> None:
        super().after_step(weight, tail)
        for parameter, latent in _parameters(tail):
            if latent:
                parameter.copy_(fake_quantize(parameter, self.weight_bits).clamp(-1, 1))
            else:
                parameter.copy_(fake_quantize(parameter, self.backward_bits))


class _Boundary:
    """A forward hook: Q_qf of what passes forward, Q_qb of what passes backward."""

    def __init__(self, forward_bits: int, backward_bits: int) -> None:
        self.bits = forward_bits, backward_bits
        self.range: Tensor | None = None  # (min, max), the running mean over training

    def __call__(self, module: nn.Module, inputs: Any, y: Tensor) -> Tensor:
        own = torch.stack(y.detach().aminmax())
        if module.training:
            self.range = own if self.range is None else 0.9 * self.range + 0.1 * own
        elif self.range is not None:
            own = self.range
        return _Quantize.apply(y, own, *self.bits)


class _Quantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, extent: Tensor, forward_bits: int, backward_bits: int) -> Tensor:
        ctx.bits = backward_bits
        return fake_quantize(x, forward_bits, *extent.tolist())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return fake_quantize(gradient, ctx.bits), None, None, None


class _Product:
    """A bilinear map of x and W, whose gradients are computed in few bits.

        dx = map^T(g, Q_input(W));  dW = Q_weight(map-grad(x, g))

    Args:
        product: the map.
        input_bits: width of W where it makes dx.
        weight_bits: width of dW.
        saved_bits: width of x where it makes dW; 0 if x is binary.
    """

    def __init__(
        self, product: Callable[[Tensor, Tensor], Tensor], input_bits: int, weight_bits: int, saved_bits: int = 0
    ) -> None:
        self.product = product
        self.input_bits, self.weight_bits, self.saved_bits = input_bits, weight_bits, saved_bits

    def __call__(self, x: Tensor, weight: Tensor) -> Tensor:
        return _Bilinear.apply(x, weight, self)


class _Bilinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, spec: _Product) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.spec = spec
        return spec.product(x, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        spec = ctx.spec
        x = fake_quantize(x, spec.saved_bits) if spec.saved_bits else x.detach()
        operands = x.requires_grad_(), fake_quantize(weight, spec.input_bits).requires_grad_()
        with torch.enable_grad():
            dx, dw = torch.autograd.grad(spec.product(*operands), operands, gradient)
        return dx, fake_quantize(dw, spec.weight_bits), None


class _RealForward:
    """The forward pass of a real-valued layer, in place of its own."""

    def __init__(self, module: nn.Conv2d | nn.Linear, bits: int) -> None:
        self.module = module
        self.product = _Product(self._map, bits, bits, bits)

    def _map(self, x: Tensor, weight: Tensor) -> Tensor:
        if isinstance(self.module, nn.Linear):
            return functional.linear(x, weight)
        return self.module._conv_forward(x, weight, None)

    def __call__(self, x: Tensor) -> Tensor:
        y = self.product(x, self.module.weight)
        return y if self.module.bias is None else y + self.module.bias.view(-1, *[1] * (y.dim() - 2))


class _Head(torch.autograd.Function):
    """Cross-entropy, with the gradients of :class:`Hybrid` and :class:`FullyQuantized`."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, labels: Tensor, known: Tensor, spec: Hybrid) -> Tensor:
        logits = spec.logits(features, weight).masked_fill(~known, -torch.inf)
        error = fake_quantize(torch.softmax(logits, dim=1), spec.forward_bits, 0, 1)
        error[torch.arange(len(labels)), labels] -= 1
        error = spec.error(error) * known  # zero may lie between two levels
        ctx.save_for_backward(spec.gradient(error @ weight), spec.gradient(error.T @ spec.inputs(features)))
        return functional.cross_entropy(logits, labels)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        dx, dw = ctx.saved_tensors
        return gradient * dx, gradient * dw, None, None, None


def _parameters(tail: nn.Module) -> Iterator[tuple[nn.Parameter, bool]]:
    """The quantised parameters, all but BatchNorm's; and whether each is the latent weight of a binary layer."""
    for module in tail.modules():
        if not isinstance(module, _NORMS):
            for name, parameter in module.named_parameters(recurse=False):
                yield parameter, isinstance(module, BinaryLayer) and name == "weight"
