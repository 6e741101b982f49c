"""CycleBNN: binary networks trained at a precision that cycles.

Fontana et al., "CycleBNN: Cyclic Precision Training in Binary Neural Networks", arXiv 2410.00050, as its released code
computes it.

**Schedule.** In iteration t of N, with n cycles of T = max(1, ⌊N / n⌋) iterations:

    b_t = rint(b_min + ½ (b_max − b_min) (1 + cos(π (t mod T) / T + π)))        rint rounds halves to even

Each cycle rises from b_min to b_max and drops at once. The gradient's width g_t follows the same formula. The other
forms of a cycle are those of :mod:`onebit.methods.schedule`.

**Binary layer**, in order:

1. Weights: w₁ = 2√2 w / √(var_c(w) + 1e-5), var_c over output channel c.
2. Activations: a₀ = a / √(var_n(a) + 1e-5), var_n over sample n.
3. Both to b_t bits: x̂ = q s + min, q = round(clamp((x − min) / s, 0, 2^b − 1)), s = max((max − min) / (2^b − 1), 1e-8).
   Weights have one range per output channel; activations one per batch, in evaluation the running means of minimum and
   range (momentum 0.9, started at 0). Gradient: identity.
4. The sign of both, with sign(0) = +1. Gradient: identity for weights, max(0, 2 − 2|x̂|) for activations.
5. Convolution of ±1 by ±1.
6. Identity, whose incoming gradient is quantised to g_t bits, stochastically, over its own range.
7. Times α_c, learned, initialised from U[0, 1).

var is the unbiased variance (0 for a single element), and the gradient flows through it.

**Step 2 in evaluation.** ``scaling="released"``: a₀ = a, as in the released code, whose running ranges are nevertheless
those of the scaled activations. ``scaling="consistent"``: a₀ = r̄ a, with r̄ the running mean (momentum 0.9, started at
0) of 1 / √(var_n(a) + 1e-5) over the samples. As minimum, range and r̄ all start at 0, the share that each lacks is the
same and leaves the sign as it is.

**ReCU's clamp**, which the released code intends after step 1 but never reaches: ``recu_clamp=True`` clamps w₁ to ±Q
with Q = −ln(2 − 2τ) · mean|w₁| and τ rising from 0.85 to 0.99 as 0.85 + 0.14 (e^(t/N) − 1) / (e − 1) (Xu et al., ICCV
2021, arXiv 2103.12369). No gradient flows to Q, nor to clamped weights.

**Departures.** The N − nT iterations that remain after the last cycle keep its last width. The released code begins
another cycle with them, so that training ends at b_min and the network, whose answers depend on b_t, with it; keeping
the best validated state hides this. The released code has sign(0) = 0, and bounds the gradient quantiser's step by
1e-8; ours has no such bound (see :func:`onebit.quantize.stochastic_quantize`). Its learning rate is that of our next
iteration, and so 0 in the last.

**In one pass.** Steps 1 to 4 are one autograd function that reuses its temporaries, which spares a CPU most passes over
memory of the steps composed. Weights and activations go through the same: x₁ = γ x / D with D = √(var + 1e-5) of each
slice along dimension 0 (an output channel or a sample), then b bits, then the sign. With d = dL/dx₁, m the mean and k
the number of elements of a slice:

    dL/dx = γ (d / D − (x − m) Σ(d x) / (D³ (k − 1)))
"""

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from onebit.cost.published import Published
from onebit.cost.rule import FULL, CostRule, Widths
from onebit.errors import OnebitError
from onebit.methods.base import Method
from onebit.methods.recu import EPSILON, WEIGHT_GAIN, quantile, tau_at
from onebit.methods.schedule import Bits, Schedule, check_bits_range, check_cycles, cyclic_bits, time_at
from onebit.nn import ChannelScale, binary_layers
from onebit.quantize import (
    ApproxSign,
    Estimator,
    GradientQuantizer,
    KBitQuantizer,
    SampleScale,
    SignForm,
    binarize,
    sign,
)
from onebit.quantize.uniform import measure, quantize, step_size

MOMENTUM = 0.9
APPROX_SIGN = ApproxSign()
Scaling = Literal["released", "consistent"]


class CycleBNN(Method):
    """Cyclic precision training; see the module's page for the equations.

    Args:
        bits: b_min and b_max of weights and activations; equal for a constant precision.
        gradient_bits: g, or its minimum and maximum.
        cycles: n.
        scaling: how activations are scaled in evaluation: as ``released``, or ``consistent`` with training.
        recu_clamp: adds ReCU's clamp of the weights.
        schedule: the form of a cycle: ``cosine``, ``linear``, ``triangular`` or ``constant`` (b_max).

    Raises:
        OnebitError: bits outside 1 to 24 or falling, no cycle, another scaling or schedule; and ``attach`` for a
            network without binary layers.

    Example:
        >>> from onebit.nn import BinaryConv2d
        >>> net = nn.Sequential(BinaryConv2d(4, 8, 3), nn.BatchNorm2d(8))
        >>> method = CycleBNN(bits=(2, 6), gradient_bits=8, cycles=8)
        >>> method.attach(net)
        >>> for t in range(80):
        ...     method.step(t, total=80)  # then one's own training iteration
        >>> net[0].weight_quantizer.bits
        6
        >>> net[0].quantized_weight().unique().tolist()
        [-1.0, 1.0]
    """

    def __init__(
        self,
        bits: Bits = (2, 6),
        gradient_bits: int | Bits = 8,
        cycles: int = 8,
        scaling: Scaling = "released",
        recu_clamp: bool = False,
        schedule: Schedule = "cosine",
    ) -> None:
        self.bits = check_bits_range("CycleBNN", bits)
        self.gradient_bits = check_bits_range("CycleBNN", gradient_bits)
        check_cycles("CycleBNN", cycles, schedule)
        if scaling not in get_args(Scaling):
            raise OnebitError(f"CycleBNN: no scaling '{scaling}'", hint=f"choose from {', '.join(get_args(Scaling))}")
        self.cycles = cycles
        self.scaling = scaling
        self.recu_clamp = recu_clamp
        self.schedule: Schedule = schedule
        self._activations: list[CyclicActivationSign] = []
        self._weights: list[CyclicWeightSign] = []
        self._gradients: list[GradientQuantizer] = []

    def attach(self, net: nn.Module) -> None:
        layers = [layer for _, layer in binary_layers(net)]
        if not layers:
            raise OnebitError(
                "CycleBNN: the network has no binary layer",
                hint="build it without full_precision, or call onebit.nn.binarize(net)",
            )
        for layer in layers:
            gradient_quantizer = GradientQuantizer(self.gradient_bits[0])
            like = layer.weight
            layer.input_quantizer = CyclicActivationSign(self.bits[0], self.scaling == "consistent").to(like)
            layer.weight_quantizer = CyclicWeightSign(self.bits[0], self.recu_clamp).to(like)
            layer.output_transform = nn.Sequential(gradient_quantizer, ChannelScale(len(like)).to(like))
            self._activations.append(layer.input_quantizer)
            self._weights.append(layer.weight_quantizer)
            self._gradients.append(gradient_quantizer)

    def set_bits(self, bits: int, gradient_bits: int) -> None:
        """Sets b_t and g_t, as ``step`` does by the schedule."""
        for quantizer in (*self._activations, *self._weights):
            quantizer.bits = bits
        for gradient_quantizer in self._gradients:
            gradient_quantizer.bits = gradient_bits

    def step(self, t: int, total: int) -> None:
        self.set_bits(*(cyclic_bits(t, total, r, self.cycles, self.schedule) for r in (self.bits, self.gradient_bits)))
        if self.recu_clamp:
            tau = tau_at(t, total)
            for weight_quantizer in self._weights:
                weight_quantizer.tau.fill_(tau)

    def cost_rule(self) -> CostRule:
        """The operands of all three products are ±1 or g_t bits wide; the paper counts b_t for ±1."""
        times = time_at(self.schedule, self.bits, self.gradient_bits)
        operands = tuple(Widths(share, 1, 1, g) for share, (_, g) in times)
        charged = tuple(Widths(share, b, b, g) for share, (b, g) in times)
        rule = CostRule(operands, charged)
        released = (self.bits, self.gradient_bits, self.schedule) == ((2, 6), (8, 8), "cosine")
        return CostRule(operands, charged, _published(rule)) if released else rule


class CyclicActivationSign(KBitQuantizer):
    """Steps 2 to 4 for activations: scaled per sample, quantised to ``bits``, binarised.

    Forward: sign(x̂), x̂ the b-bit value of a / √(var_n(a) + 1e-5); in evaluation of a ("released") or r̄ a.

    Gradient: max(0, 2 − 2|x̂|), then that of the scaling.

    Args:
        bits: 1 to 24; may be set at any time.
        consistent: r̄ a in evaluation.

    Reference: arXiv 2410.00050.

    Example:
        >>> a = torch.tensor([[-2.0, -1.0, 0.0, 3.0]])
        >>> CyclicActivationSign(bits=2, consistent=False)(a)  # the level nearest to 0 is a third of a step below it
        tensor([[-1., -1., -1.,  1.]])
        >>> CyclicActivationSign(bits=3, consistent=False)(a)
        tensor([[-1., -1.,  1.,  1.]])
    """

    precision = 1  # of what it returns
    running_minimum: Tensor
    running_range: Tensor
    running_scale: Tensor

    def __init__(self, bits: int, consistent: bool) -> None:
        super().__init__(bits)
        self.consistent = consistent
        self.register_buffer("running_minimum", torch.zeros(()))
        self.register_buffer("running_range", torch.zeros(()))
        if consistent:
            self.register_buffer("running_scale", torch.zeros(()))

    def forward(self, a: Tensor) -> Tensor:
        if not self.training:
            if self.consistent:
                a = a * self.running_scale
            return binarize(quantize(a, self.bits, self.running_minimum, self.running_range), APPROX_SIGN.derivative)
        y, *measured = activation_sign(a, self.bits)
        self._follow(*measured)
        return y

    def closed_form(self) -> SignForm:
        return SignForm(Estimator.STAIRCASE, scale=SampleScale(EPSILON, self.bits, self._follow))

    def _follow(self, minimum: Tensor, extent: Tensor, deviation: Tensor) -> None:
        self.running_minimum.lerp_(minimum.to(self.running_minimum), 1 - MOMENTUM)
        self.running_range.lerp_(extent.to(self.running_range), 1 - MOMENTUM)
        if self.consistent:
            self.running_scale.lerp_(deviation.reciprocal().mean().to(self.running_scale), 1 - MOMENTUM)


class CyclicWeightSign(KBitQuantizer):
    """Steps 1, 3 and 4 for weights: standardised, optionally clamped, quantised to ``bits`` and binarised.

    Forward: sign(ŵ), ŵ the b-bit value of 2√2 w / √(var_c(w) + 1e-5).

    Gradient: that of the standardisation.

    Args:
        bits: 1 to 24; may be set at any time.
        recu_clamp: clamp to ±Q(``tau``) before the quantiser.

    Reference: arXiv 2410.00050; the clamp: arXiv 2103.12369.

    Example:
        >>> CyclicWeightSign(bits=4, recu_clamp=False)(torch.tensor([[-1.0, 0.1], [0.0, 2.0]]))
        tensor([[-1.,  1.],
                [ 1.,  1.]])
    """

    precision = 1  # of what it returns
    tau: Tensor

    def __init__(self, bits: int, recu_clamp: bool) -> None:
        super().__init__(bits)
        self.recu_clamp = recu_clamp
        if recu_clamp:
            self.register_buffer("tau", torch.tensor(0.85))

    def forward(self, w: Tensor) -> Tensor:
        return weight_sign(w, self.bits, self.tau if self.recu_clamp else None)


def activation_sign(a: Tensor, bits: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Steps 2 to 4 in training.

    Args:
        a: (N, ...), floating point.
        bits: b_t.

    Returns:
        ±1 in the shape and dtype of ``a``, with the gradient max(0, 2 − 2|x̂|) and then that of the scaling; and
        without gradient minimum and range of a₀ (scalars) and D (N, 1, ...), in float32 or ``a``'s dtype, if that is
        wider.

    Example:
        >>> y, minimum, extent, deviation = activation_sign(torch.tensor([[-1.0, -1.0, 1.0, 3.0]]), bits=2)
        >>> y, deviation
        (tensor([[-1., -1.,  1.,  1.]]), tensor([[1.9149]]))
    """
    return _ScaledSign.apply(a, bits, 1.0, None, True)


def weight_sign(w: Tensor, bits: int, tau: Tensor | None = None) -> Tensor:
    """Steps 1, 3 and 4.

    Args:
        w: (O, ...), floating point.
        bits: b_t.
        tau: adds ReCU's clamp to ±Q(τ) after step 1.

    Returns:
        ±1 in the shape and dtype of ``w``, with the gradient of the standardisation (0 where clamped).

    Example:
        >>> weight_sign(torch.tensor([[-1.0, 0.1], [0.0, 2.0]]), bits=4)
        tensor([[-1.,  1.],
                [ 1.,  1.]])
    """
    return _ScaledSign.apply(w, bits, WEIGHT_GAIN, tau, False)[0]


class _ScaledSign(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, bits: int, gain: float, tau: Tensor | None, activation: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        # half-precision floats have too few bits for the levels
        work = x.to(torch.promote_types(x.dtype, torch.float32))
        mean, deviation, scaled = _center(work)
        scaled = torch.div(work, deviation, out=_reused(scaled)).mul_(gain)
        limit = None
        if tau is not None:
            limit = quantile(scaled, tau)
            scaled.clamp_(-limit, limit)
        minimum, extent = measure(scaled, None if activation else 0)
        step = step_size(bits, extent)
        levels = scaled.sub_(minimum).div_(step).clamp_(0, 2**bits - 1).round_().mul_(step).add_(minimum)
        ctx.save_for_backward(x, mean, deviation, limit, levels if activation else None)
        ctx.gain = gain
        ctx.mark_non_differentiable(minimum, extent, deviation)
        return sign(levels).to(x.dtype), minimum, extent, deviation

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, None, None, None, None]:
        x, mean, deviation, limit, levels = ctx.saved_tensors
        work = x.to(mean.dtype)
        if levels is not None:
            d = APPROX_SIGN.derivative(levels).mul_(gradient)
        elif limit is not None:
            d = (work / deviation).mul_(ctx.gain).abs_().le_(limit).mul_(gradient)
        else:
            d = gradient.to(mean.dtype, copy=True)
        dims = tuple(range(1, x.dim()))
        product = d * work
        share = product.sum(dims, keepdim=True) / (deviation**3 * max(x[0].numel() - 1, 1))
        d.div_(deviation).sub_(torch.sub(work, mean, out=_reused(product)).mul_(share)).mul_(ctx.gain)
        return d.to(x.dtype), None, None, None, None


def _reused(memory: Tensor) -> Tensor | None:
    """The memory to write to; None for a compiler, which plans memory itself."""
    return None if torch.compiler.is_compiling() else memory


def _center(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and D of each slice, and x − mean. By the norm, since torch.var is slow on a CPU."""
    dims = tuple(range(1, x.dim()))
    mean = x.mean(dims, keepdim=True)
    centred = x - mean
    square = torch.linalg.vector_norm(centred, dim=dims, keepdim=True).square_()
    return mean, square.div_(max(x[0].numel() - 1, 1)).add_(EPSILON).sqrt_(), centred


def _published(rule: CostRule) -> tuple[Published, ...]:
    """The paper's figures beside those of its released settings."""
    saved, product = 100 * rule.unweighted_saving(), rule.mean("activation") * rule.mean("gradient")
    what, paper = "% of the operations of training saved", "arXiv 2410.00050"
    return (
        Published(97.32, what, "the released code's formula and settings", saved),
        Published(
            96.09, what, paper, saved, f"it is 1 − 40/1024, E[b] g = 40; the settings have E[b] g = {product:.0f}"
        ),
        Published(88.88, what, f"{paper}, CIFAR-10", saved, "it follows from its table, 1.20e14 of 1.08e15 operations"),
        Published(
            0.25,
            "of the memory, as the widest quantised tensor over 32 bits",
            paper,
            max(w.gradient for w in rule.charged) / FULL,
        ),
    )
