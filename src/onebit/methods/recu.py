"""ReCU: a rectified clamp that moves weights far from zero back to values at which their sign can change.

Xu et al., "ReCU: Reviving the Dead Weights in Binary Neural Networks", ICCV 2021, arXiv 2103.12369, as its released
code computes it.

**Binary layer**, in order:

1. Weights: w₁ = 2√2 (w − mean_c(w)) / √(var_c(w) + 1e-5), over output channel c.
2. ReCU: w₂ = max(min(w₁, Q), −Q) with Q = −ln(2 − 2τ) · mean|w₁|, over the layer, as a constant. No gradient flows to
   the weights beyond ±Q.
3. Activations: a₀ = a / √(var_n(a) + 1e-5), over sample n, in training only: it changes the gradient, not the sign.
4. The sign of both, with sign(0) = +1. Gradient: identity for weights, max(0, 2 − 2|a₀|) for activations.
5. Convolution of ±1 by ±1.
6. Times α_c, learned, from U[0, 1).

In iteration t of N: τ = τ₀ + (τ₁ − τ₀) (e^(t/N) − 1) / (e − 1).

var is the unbiased variance (0 for a single element), and the gradient flows through mean and variance.

**Weight decay** acts on all parameters in the released code for CIFAR-10, and in that for ImageNet on binary kernels,
their α, the stem and the dense layer only, not on BatchNorm and the 1×1 convolutions of shortcuts.

**Departures.** τ and the learning rate follow the iterations, in the released code the epochs: there the five epochs of
warm-up have a fifth, two fifths … of the rate. The released code has sign(0) = 0. The network is what the recipe names;
``resnet20_recu`` is that of the released code.
"""

import math

import torch
from torch import Tensor, nn

from onebit.cost.rule import CostRule, Widths
from onebit.errors import OnebitError
from onebit.methods.base import Method, ParameterGroup, require_binary_layers
from onebit.nn import BinaryLayer, ChannelScale
from onebit.quantize import ApproxSign, Estimator, SampleScale, SignForm, binarize

EPSILON = 1e-5
WEIGHT_GAIN = 2 * math.sqrt(2)
TAU = (0.85, 0.99)
"""τ at the start and at the end of training."""


class ReCU(Method):
    """Rectified clamp unit; see the module's page for the equations.

    Args:
        tau: τ₀ and τ₁.
        decay_all: whether weight decay acts on all parameters, as for CIFAR-10; False for ImageNet's choice.

    Raises:
        OnebitError: τ under ½, from 1 on, or falling; and ``attach`` for a network without binary layers.

    Example:
        >>> from onebit.nn import BinaryConv2d
        >>> net = nn.Sequential(BinaryConv2d(4, 8, 3), nn.BatchNorm2d(8))
        >>> method = ReCU()
        >>> method.attach(net)
        >>> method.step(50, total=100)
        >>> net[0].weight_quantizer.tau
        tensor(0.9029)
    """

    def __init__(self, tau: tuple[float, float] = TAU, decay_all: bool = True) -> None:
        if not 0.5 <= tau[0] <= tau[1] < 1:
            raise OnebitError(f"ReCU: tau from {tau[0]} to {tau[1]}", hint="from 0.5 to below 1, the lower first")
        self.tau = tau
        self.decay_all = decay_all
        self._weights: list[RectifiedSign] = []
        self._undecayed: list[nn.Parameter] = []

    def attach(self, net: nn.Module) -> None:
        for layer in require_binary_layers(net, "ReCU"):
            like = layer.weight
            layer.input_quantizer = StandardizedSign()
            layer.weight_quantizer = RectifiedSign(self.tau[0]).to(like)
            layer.output_transform = ChannelScale(len(like)).to(like)
            self._weights.append(layer.weight_quantizer)
        decayed = {p for module in net.modules() if _decays(module) for p in module.parameters(recurse=False)}
        self._undecayed = [parameter for parameter in net.parameters() if parameter not in decayed]

    def step(self, t: int, total: int) -> None:
        tau = tau_at(t, total, self.tau)
        for quantizer in self._weights:
            quantizer.tau.fill_(tau)

    def parameter_groups(self) -> list[ParameterGroup]:
        return [] if self.decay_all else [ParameterGroup(tuple(self._undecayed), decay=False)]

    def cost_rule(self) -> CostRule:
        """Operands of ±1; gradients have 32 bits."""
        return CostRule((Widths(1.0, activation=1, weight=1),))


def _decays(module: nn.Module) -> bool:
    """Whether the released code for ImageNet lets the parameters of a module decay."""
    if isinstance(module, nn.Conv2d):
        return module.kernel_size != (1, 1)
    return isinstance(module, BinaryLayer | ChannelScale | nn.Linear)


class RectifiedSign(nn.Module):
    """Steps 1, 2 and 4 for weights.

    Forward: q(w) = sign(w₁), w₁ = 2√2 (w − mean_c(w)) / √(var_c(w) + 1e-5).

    Gradient: dq/dw₁ = 1 for |w₁| ≤ Q(τ), 0 otherwise, then that of the standardisation.

    Args:
        tau: τ at the start.

    Reference: arXiv 2103.12369.

    Example:
        >>> RectifiedSign(0.85)(torch.tensor([[-1.0, 1.0], [2.0, 4.0]]))
        tensor([[-1.,  1.],
                [-1.,  1.]])
    """

    precision = 1
    tau: Tensor

    def __init__(self, tau: float) -> None:
        super().__init__()
        self.register_buffer("tau", torch.tensor(tau))

    def forward(self, w: Tensor) -> Tensor:
        dims = tuple(range(1, w.dim()))
        centred = w - w.mean(dims, keepdim=True)
        standard = centred * WEIGHT_GAIN / deviation(w)
        limit = quantile(standard, self.tau)
        return binarize(standard.clamp(-limit, limit))


class StandardizedSign(ApproxSign):
    """Steps 3 and 4 for activations.

    Forward: q(a) = sign(a).

    Gradient: in training dq/da₀ = max(0, 2 − 2|a₀|) with a₀ = a / √(var_n(a) + 1e-5), then that of the scaling.

    Reference: arXiv 2103.12369.

    Example:
        >>> a = torch.tensor([[-30.0, -10.0, 10.0, 30.0]], requires_grad=True)
        >>> StandardizedSign()(a).sum().backward()
        >>> a.grad  # where ApproxSign would give nothing
        tensor([[0.0000, 0.0475, 0.0475, 0.0000]])
    """

    def forward(self, a: Tensor) -> Tensor:
        return super().forward(a / deviation(a) if self.training else a)

    def closed_form(self) -> SignForm:
        return SignForm(Estimator.STAIRCASE, scale=SampleScale(EPSILON))


def deviation(x: Tensor) -> Tensor:
    """√(var + 1e-5) of each slice along dimension 0, (N, 1, ...).

    Example:
        >>> deviation(torch.tensor([[0.0, 2.0], [1.0, 1.0]])).pow(2)
        tensor([[2.0000e+00],
                [1.0000e-05]])
    """
    correction = min(x[0].numel() - 1, 1)  # a single element has no spread
    return (x.var(tuple(range(1, x.dim())), keepdim=True, correction=correction) + EPSILON).sqrt()


def tau_at(t: int, total: int, tau: tuple[float, float] = TAU) -> float:
    """τ = τ₀ + (τ₁ − τ₀) (e^(t/N) − 1) / (e − 1).

    Args:
        t: iteration.
        total: N.
        tau: τ₀ and τ₁.

    Example:
        >>> [round(tau_at(t, 4), 3) for t in range(5)]
        [0.85, 0.873, 0.903, 0.941, 0.99]
    """
    start, end = tau
    return start + (end - start) * math.expm1(t / total) / (math.e - 1)


def quantile(w: Tensor, tau: Tensor) -> Tensor:
    """Q = −ln(2 − 2τ) · mean|w|; no gradient flows to it.

    Of weights that follow a Laplace distribution of mean 0, whose scale is then E|w|, this is the τ-quantile.

    Args:
        w: floating point, any shape, with mean 0.
        tau: scalar, ½ ≤ τ < 1.

    Returns:
        a scalar.

    Example:
        >>> quantile(torch.tensor([-1.0, 1.0]), torch.tensor(0.75))
        tensor(0.6931)
    """
    return -torch.log(2 - 2 * tau) * w.detach().abs().mean()
