"""IR-Net: balanced weights, and a gradient estimator that sharpens over training.

Qin et al., "Forward and Backward Information Retention for Accurate Binary Neural Networks", CVPR 2020,
arXiv 1909.10788.

**Libra parameter binarisation** of the weights of output channel c:

    ŵ = (w − mean_c(w)) / std_c(w)
    s_c = round(log₂ mean_c|ŵ|)              rounds halves to even
    q(w) = 2^s_c sign(ŵ)                     the paper's shift: sign(ŵ) << s

**Error decay estimator**, in iteration t of N, for weights (of ŵ) and activations:

    T_t = T_min (T_max / T_min)^(t/N),    K_t = max(1 / T_t, 1)
    d sign(x) / dx = K_t T_t (1 − tanh²(T_t x))

It begins as the identity and ends as a narrow bump. s is a constant in the backward pass; the gradient flows through
mean and standard deviation, which is the unbiased one (of a single element, or of equal ones, it is 0, as is ŵ).

T runs from 0.1 to 10, as in the paper; its released code for ResNet-20 on CIFAR-10 starts at 0.001, that for VGG-small
at 0.1.

**Departures.** T and the learning rate follow the iterations, in the released code the epochs; sign(0) = +1, there 0.
The network is what the recipe names; ``resnet20_irnet`` is that of the released code.
"""

import torch
from torch import Tensor, nn

from onebit.cost.rule import CostRule, Widths
from onebit.errors import OnebitError
from onebit.methods.base import Method, require_binary_layers
from onebit.quantize import BinaryQuantizer, Estimator, SignForm


class IRNet(Method):
    """Information retention; see the module's page for the equations.

    Args:
        temperature: T_min and T_max.

    Raises:
        OnebitError: a temperature that is not above zero, or falling; and ``attach`` for a network without binary
            layers.

    Example:
        >>> from onebit.nn import BinaryConv2d
        >>> net = nn.Sequential(BinaryConv2d(4, 8, 3), nn.BatchNorm2d(8))
        >>> method = IRNet()
        >>> method.attach(net)
        >>> method.step(50, total=100)
        >>> net[0].input_quantizer
        ErrorDecaySign(temperature=1)
    """

    def __init__(self, temperature: tuple[float, float] = (0.1, 10.0)) -> None:
        if not 0 < temperature[0] <= temperature[1]:
            raise OnebitError(
                f"IRNet: temperature from {temperature[0]} to {temperature[1]}", hint="above zero, the lower first"
            )
        self.temperature = temperature
        self._quantizers: list[ErrorDecaySign] = []

    def attach(self, net: nn.Module) -> None:
        for layer in require_binary_layers(net, "IRNet"):
            layer.input_quantizer = ErrorDecaySign(self.temperature[0])
            layer.weight_quantizer = LibraSign(self.temperature[0])
            self._quantizers += [layer.input_quantizer, layer.weight_quantizer]

    def step(self, t: int, total: int) -> None:
        low, high = self.temperature
        for quantizer in self._quantizers:
            quantizer.temperature = low * (high / low) ** (t / total)

    def cost_rule(self) -> CostRule:
        """Operands of ±1; gradients have 32 bits."""
        return CostRule((Widths(1.0, activation=1, weight=1),))


class ErrorDecaySign(BinaryQuantizer):
    """The error decay estimator.

    Forward: q(x) = +1 for x ≥ 0, −1 otherwise.

    Gradient: dq/dx = K T (1 − tanh²(T x)), K = max(1 / T, 1).

    ![forward and gradient](images/error_decay_sign.svg)

    Args:
        temperature: T; may be set at any time.

    Reference: arXiv 1909.10788, section 3.3.

    Example:
        >>> x = torch.tensor([-1.0, 0.0, 1.0], requires_grad=True)
        >>> ErrorDecaySign(0.01)(x).sum().backward()
        >>> x.grad
        tensor([0.9999, 1.0000, 0.9999])
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def derivative(self, x: Tensor) -> Tensor:
        bump = (x * self.temperature).tanh_().square_().neg_().add_(1)
        return bump.mul_(max(1.0, self.temperature))  # K T

    def closed_form(self) -> SignForm:
        return SignForm(Estimator.TANH, (self.temperature, max(1 / self.temperature, 1.0)))

    def extra_repr(self) -> str:
        return f"temperature={self.temperature:.6g}"


class LibraSign(ErrorDecaySign):
    """Libra parameter binarisation, for weights.

    Forward: q(w) = 2^s_c sign(ŵ).

    Gradient: dq/dŵ = 2^s_c K T (1 − tanh²(T ŵ)), then that of the standardisation.

    Args:
        temperature: T; may be set at any time.

    Reference: arXiv 1909.10788, section 3.2.

    Example:
        >>> LibraSign(1.0)(torch.tensor([[1.0, 2.0, 2.0, 3.0], [0.0, 0.0, 0.0, 8.0]]))
        tensor([[-0.5000,  0.5000,  0.5000,  0.5000],
                [-1.0000, -1.0000, -1.0000,  1.0000]])
    """

    def forward(self, w: Tensor) -> Tensor:
        dims, tiny = tuple(range(1, w.dim())), torch.finfo(w.dtype).tiny
        correction = min(w[0].numel() - 1, 1)  # a single element has no spread
        deviation = w.std(dims, keepdim=True, correction=correction).clamp_min(tiny)
        standard = (w - w.mean(dims, keepdim=True)) / deviation
        shift = standard.detach().abs().mean(dims, keepdim=True).clamp_min(tiny).log2().round()
        return super().forward(standard) * shift.exp2()
