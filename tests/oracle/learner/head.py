"""CWR* with hybrid quantisation, on torch tensors: the native learner's arithmetic written a second time.

Equations and departures from the paper (Vorabbi, Maltoni, Santi, arXiv 2308.15308) are those of docs/learner.md. With
the integer softmax every number equals the native learner's, bit for bit; with the real one a step differs in p^ only,
by one level of 255 where the two round to different sides.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from onebit.continual.strategy import Strategy

LEVELS = 255
_EXP2 = (7339192, -57137150, 257086653, -744155626, 1073739719)  # 2^-f on [0, 1] in units of 2^-30, highest power first
_LOG2E = 1.4426950408889634
_MASK32 = 0xFFFFFFFF


def round_div(n: Tensor, d: int | Tensor) -> Tensor:
    """n / d for d > 0, to nearest, halves to even; int64.

    Example:
        >>> round_div(torch.tensor([5, 7, -5]), 2)
        tensor([ 2,  4, -2])
    """
    quotient = torch.div(n, d, rounding_mode="floor")
    other = d - 2 * (n - quotient * d)
    return quotient + ((other < 0) | ((other == 0) & (quotient % 2 == 1))).long()


def quantize_weights(masters: Tensor) -> tuple[Tensor, int]:
    """Q_8 with the tensor's own range, widened to hold 0 and by 2 % of itself on each side: (levels - zero, range)."""
    low, high = min(int(masters.min()), 0), max(int(masters.max()), 0)
    span = high - low
    if span == 0:
        return torch.zeros_like(masters), 0
    zero = int(round_div(torch.tensor(LEVELS * (span - 50 * low)), 52 * span))
    return (round_div(50 * LEVELS * masters, 52 * span) + zero).clamp(0, LEVELS) - zero, span


class Factor:
    """A real number as mantissa * 2^-shift with a mantissa of 30 bits."""

    def __init__(self, mantissa: int, shift: int) -> None:
        excess = max(mantissa.bit_length() - 30, 0) if mantissa else 0
        self.mantissa, self.shift = mantissa >> excess, shift - excess
        if mantissa:
            lack = 30 - self.mantissa.bit_length()
            self.mantissa, self.shift = self.mantissa << lack, self.shift + lack

    @classmethod
    def of(cls, value: float) -> "Factor":
        mantissa, exponent = math.frexp(value)
        return cls(int(math.ldexp(mantissa, 30)), 30 - exponent)

    def times(self, whole: int) -> "Factor":
        return Factor(self.mantissa * whole, self.shift)

    def over(self, whole: int) -> "Factor":
        return Factor((self.mantissa << 32) // whole, self.shift + 32)

    def multiply(self, v: Tensor, fraction: int) -> Tensor:
        """v times this, in units of 2^-fraction, saturated to ±2^62."""
        product, shift = v * self.mantissa, self.shift - fraction
        if shift > 62:
            return torch.zeros_like(v)
        if shift >= 0:
            return round_div(product, 1 << shift)
        maximum = (1 << 62) >> -shift
        return product.sign() << 62 if maximum == 0 else product.clamp(-maximum, maximum) << -shift


class Random:
    """PCG-XSH-RR 64/32."""

    def __init__(self, state: int) -> None:
        self.state = state

    def next(self) -> int:
        old = self.state
        self.state = (old * 6364136223846793005 + 1442695040888963407) % 2**64
        shifted, turn = (((old >> 18) ^ old) >> 27) & _MASK32, old >> 59
        return ((shifted >> turn) | (shifted << (-turn & 31))) & _MASK32

    def below(self, bound: int) -> int:
        while (drawn := self.next()) < 2**32 % bound:
            pass
        return drawn % bound

    def shuffle(self, order: list[int]) -> None:
        """In place (Fisher and Yates)."""
        for i in range(len(order), 1, -1):
            j = self.below(i)
            order[i - 1], order[j] = order[j], order[i - 1]


def noise16(key: int, count: int) -> Tensor:
    """16 random bits for each of ``count`` entries; int64 (count,)."""
    x = (key + torch.arange(count) * 0x9E3779B9) & _MASK32
    x ^= x >> 16
    x = _multiply32(x, 0x7FEB352D)
    x ^= x >> 15
    return _multiply32(x, 0x846CA68B) >> 16


def integer_softmax(scores: Tensor, factor: Factor, one: int) -> Tensor:
    """softmax in units of 1 / one; scores int64 (N, K)."""
    t = factor.multiply(scores.amax(dim=1, keepdim=True) - scores, 16)
    y = torch.full_like(t, _EXP2[0])
    for coefficient in _EXP2[1:]:
        y = coefficient + ((y * (t & 0xFFFF)) >> 16)
    powers = torch.where(t >> 16 > 31, 0, round_div(y, 1 << (t >> 16).clamp(max=31)))
    return round_div(one * powers, powers.sum(dim=1, keepdim=True))


class QuantizedCWRStar(Strategy):
    """The quantised head in its two memories.

    Args:
        weight: float (K0, d), rows of the classes that the backbone saw.
        bias: float (K0,) or None.
        past: samples of those classes.
        feature_range: (min, max) of the features.
        num_classes: rows in all.
        seed: the generator's first state.
        steps, batch, learning_rate: of SGD.
        real_softmax: the softmax in float, as the paper's simulation has it.

    Attributes:
        cw: int64 (K, d or d + 1), the consolidated head in units of ``2^-fraction``.
        past: samples of each class.

    Example:
        >>> head = QuantizedCWRStar(torch.tensor([[1.0], [-1.0]]), None, [5, 5], (-4.0, 4.0), 3)
        >>> head.learn(torch.tensor([[-3.0], [-3.5]]), torch.tensor([2, 2]))
        >>> head.predict(torch.tensor([[2.0]]))
        tensor([0])
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        past: Sequence[int],
        feature_range: tuple[float, float],
        num_classes: int,
        *,
        seed: int = 0,
        steps: int = 250,
        batch: int = 50,
        learning_rate: float = 0.1,
        real_softmax: bool = False,
    ) -> None:
        low, high = (torch.tensor(v, dtype=torch.float32) for v in (min(feature_range[0], 0), max(feature_range[1], 0)))
        self.step = (high - low) / LEVELS
        self.zero = int(torch.round(-low / self.step))
        self.bias_level = min(max(round(1 / float(self.step)), 1), LEVELS) if bias is not None else None
        self.random = Random(seed)
        self.steps, self.batch, self.learning_rate, self.real_softmax = steps, batch, learning_rate, real_softmax

        rows = weight.double()
        if bias is not None and self.bias_level is not None:
            rows = torch.cat([rows, bias.double()[:, None] / (self.step.double() * self.bias_level)], dim=1)
        total = 0.0
        for entry in rows.flatten().tolist():  # in the native learner's order; sum() would compensate its rounding
            total += entry
        rows = rows - total / rows.numel()
        self.fraction = 13 - math.ceil(math.log2(float(rows.abs().max())))
        self.cw = torch.zeros(num_classes, rows.shape[1], dtype=torch.int64)
        self.cw[: len(rows)] = torch.round(rows * 2.0**self.fraction).long().clamp(-32768, 32767)
        self.past = torch.zeros(num_classes, dtype=torch.int64)
        self.past[: len(rows)] = torch.tensor(past)

    def levels(self, features: Tensor) -> Tensor:
        """Q_8 of the features, less the zero level; int64 (n, d or d + 1)."""
        x = (torch.round(features.float() / self.step) + self.zero).clamp(0, LEVELS).long() - self.zero
        if self.bias_level is None:
            return x
        return torch.cat([x, torch.full((len(x), 1), self.bias_level)], dim=1)

    def predict(self, features: Tensor) -> Tensor:
        """The most likely of the classes seen, int64 (n,)."""
        seen = (self.past > 0).nonzero()[:, 0]
        weights, _ = quantize_weights(self.cw[seen])
        return seen[(self.levels(features) @ weights.T).argmax(dim=1)]

    def learn(self, features: Tensor, labels: Tensor) -> None:
        """One experience: features float32 (n, d), labels int64 (n,)."""
        current = torch.bincount(labels, minlength=len(self.past))
        known = ((self.past + current) > 0).nonzero()[:, 0]
        here, seen = current[known] > 0, self.past[known] > 0
        live = torch.where((here & seen)[:, None], self.cw[known], 0)
        live = self._train(live, features, torch.searchsorted(known, labels))
        mu = round_div(live[here].sum(), live[here].numel())
        for row, j in zip(live[here], known[here].tolist(), strict=True):
            ratio = math.isqrt((int(self.past[j]) << 32) // int(current[j]))
            mixed = round_div(self.cw[j] * ratio + ((row - mu) << 16), ratio + (1 << 16))
            self.cw[j] = mixed.clamp(-32768, 32767)
        self.past = (self.past + current).clamp(max=_MASK32)

    def _train(self, masters: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        levels = self.levels(inputs)
        order, begin = list(range(len(targets))), 0
        for _ in range(self.steps):
            if begin == 0:
                self.random.shuffle(order)
            chosen = order[begin : begin + self.batch]
            begin = 0 if begin + self.batch >= len(order) else begin + self.batch
            masters = self._step(masters, levels[chosen], targets[chosen])[0]
        return masters

    def _step(self, masters: Tensor, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, float]:
        """SGD on one mini-batch of levels: the new masters, and the gradient of the inputs with its unit."""
        step = float(self.step)
        rate = Factor.of(math.ldexp(self.learning_rate * step * (2 / LEVELS), self.fraction))
        score = Factor.of(math.ldexp(step * _LOG2E * (52 / (50 * LEVELS)), -self.fraction))
        weights, span = quantize_weights(masters)
        p = self._probabilities(inputs @ weights.T, score.times(span))
        p[torch.arange(len(targets)), targets] -= LEVELS
        error = round_div(p, 2).clamp(-128, 127)
        gradient = error.T @ inputs
        noise = noise16(self.random.next(), gradient.numel()).reshape(gradient.shape)
        update = (rate.over(len(targets)).multiply(gradient, 16) + noise) >> 16
        masters = torch.where(gradient == 0, masters, (masters - update).clamp(-32768, 32767))
        unit = 2.0 / (255.0 * len(targets)) * math.ldexp(52.0 * span / 12750.0, -self.fraction)
        return masters, error @ weights, unit

    def _probabilities(self, scores: Tensor, factor: Factor) -> Tensor:
        if not self.real_softmax:
            return integer_softmax(scores, factor, LEVELS)
        z = scores.double() * (math.ldexp(factor.mantissa, -factor.shift) / _LOG2E)
        return torch.round(torch.softmax(z, dim=1) * LEVELS).long()


def _multiply32(x: Tensor, factor: int) -> Tensor:
    """x * factor modulo 2^32, for 32-bit factors, without leaving int64."""
    return (((x >> 16) * factor << 16) + (x & 0xFFFF) * factor) & _MASK32
