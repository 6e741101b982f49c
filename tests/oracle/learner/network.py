"""Quantised backpropagation through the last blocks of a packed network, on integer tensors: the native learner's
arithmetic written a second time, to be read beside docs/learner.md.

Every value v of the tail has 8 bits, v = step q, over its calibrated range. A gradient has 16 bits and a real unit that
follows it; those of a convolution's two products have 8, rounded stochastically. Of a node with the residual r and the
scale, bias, slope and post of each channel (M, N, A, P in units of 2^-16 of the output)::

    s = conv(bits, sign w), conv(q, round(w 2^-8)) where both are real, of pointwise nodes the input's level
    Z = M s + N + R r;   y = activation(Z);   q = clamp(round((y + P) 2^-16) + zero, 0, 255) - zero

    dP = Σ G,  dA = Σ_(Z < 0) G round(Z 2^-16),  G' = G y'(Z),  dN = Σ G',  dM = Σ G' s,  dr = G'
    h = Q_8(G' M),  dw = h * bits,  dbits = h * sign w,  dx = dbits · estimate(x - threshold)
                    dw = h * q,     dx = h * round(w 2^-8)     where both are real; their M s is round(M s 2^-8)

Everything is NHWC and int64. Products are summed in float64, where they are exact.

Source: Vorabbi et al., "Enabling On-device Continual Learning with Binary Neural Networks", arXiv 2401.09916. It
departs from it: BatchNorm's statistics are frozen and folded into M and N, which are trained; thresholds are frozen;
rounding is stochastic where the paper's is not; integers throughout where the authors simulate.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from onebit.errors import OnebitError
from onebit.format.codes import Estimator, Op
from tests.oracle.learner.arithmetic import Gradient, Levels, add, normalise, stochastic_8_bits
from tests.oracle.learner.convolutions import BinaryConvolution, Convolution, RealConvolution
from tests.oracle.learner.head import QuantizedCWRStar, Random
from tests.oracle.learner.nodes import Node
from tests.oracle.learner.packed_tail import PackedTail
from tests.oracle.learner.pools import UNTRAINED, Untrained


@dataclass(frozen=True)
class _Place:
    """A node of the tail and the values around it."""

    node: Node | Untrained
    source: int
    residual: int | None
    output: int


class QuantizedTail:
    """The tail in integers; its masters change by :meth:`backward`.

    Args:
        packed: from :func:`~tests.oracle.learner.packed_tail.read_tail`.

    Attributes:
        layers: all nodes but the binarizes, in order. Convolutions and pointwise operators have ``masters``, int64
            (4, channels): M, N, A, P; a convolution has ``weight``, int64 (O, kh, kw, I), the masters of its weights.

    Example:
        >>> from onebit import deploy, models
        >>> from tests.oracle.learner.packed_tail import read_tail
        >>> net, images = models.create("small", num_classes=3, latent_sign="blocks.1"), torch.randn(6, 1, 8, 8)
        >>> path = getfixture("tmp_path") / "m.obn"
        >>> _ = deploy.export(net, path, images, teachable=deploy.Teachable())
        >>> tail = QuantizedTail(read_tail(path))
        >>> tail.forward(torch.rand(5, 4, 4, 96) < 0.5).shape
        torch.Size([5, 96])
        >>> tail.backward(torch.randint(-99, 99, (5, 96)), unit=1e-3, rate=0.01, random=Random(0))
    """

    def __init__(self, packed: PackedTail) -> None:
        self.levels = {value: Levels.of(*bounds) for value, bounds in packed.ranges.items()}
        self.first, self.last = packed.latents, packed.features
        latents = self.levels[self.first]
        scale, step = torch.from_numpy(packed.scale), torch.tensor(latents.step)
        self.plus, self.minus = (latents(torch.round(v / step).long()) for v in (scale, -scale))
        self.shape = packed.shapes[self.last]
        self._values: dict[int, Tensor] = {}
        self._places: list[_Place] = []
        binarizes = {node.output: node for node in packed.nodes if node.op == Op.BINARIZE}
        stored = iter(zip(packed.latent, packed.latent_max, packed.estimators, strict=True))
        for node in packed.nodes:
            if node.op == Op.BINARIZE:
                continue
            source = binarizes[node.inputs[0]].inputs[0] if node.op == Op.CONV_BINARY else node.inputs[0]
            residual = node.inputs[1] if len(node.inputs) == 2 else None
            levels, out = self.levels[source], self.levels[node.output]
            kept = None if residual is None else self.levels[residual]
            made: Node | Untrained
            if node.op == Op.CONV_BINARY:
                weight, largest, estimator = next(stored)
                values = (levels, out, kept)
                binarize = binarizes[node.inputs[0]]
                made = BinaryConvolution(node, binarize, weight, largest, estimator == Estimator.QUADRATIC, values)
            elif node.op == Op.CONV_FLOAT:
                made = RealConvolution(node, levels, out, kept)
            elif node.op == Op.POINTWISE:
                made = Node(node, packed.shapes[node.output][2], levels.step, out, kept)
            else:
                made = UNTRAINED[node.op](node, levels, out)
            self._places.append(_Place(made, source, residual, node.output))

    @property
    def layers(self) -> list[Node | Untrained]:
        return [place.node for place in self._places]

    def forward(self, negative: Tensor) -> Tensor:
        """Levels of the features, int64 (N, d), of latents whose bits are bool (N, h, w, c), True for −1."""
        self._values = {self.first: torch.where(negative, self.minus, self.plus)}
        for place in self._places:
            node, x = place.node, self._values[place.source]
            if isinstance(node, Untrained):
                self._values[place.output] = node.forward(x)
            else:
                self._values[place.output] = node.after(self._before(place, node)[0])
        return self._values[self.last].flatten(1)

    def backward(self, gradient: Tensor, unit: float, rate: float, random: Random) -> None:
        """Takes a step on all masters.

        Args:
            gradient: int64 (N, d), of the features of the last :meth:`forward`.
            unit: what one of it is worth.
            rate: of SGD.
            random: gives three keys for each trained node, from the last one to the first.
        """
        values = self._values
        gradients = {self.last: normalise(gradient.reshape(values[self.last].shape), unit)}
        for place in reversed(self._places):
            node, x = place.node, values[place.source]
            keys = (0, 0, 0) if isinstance(node, Untrained) else (random.next(), random.next(), random.next())
            arrived = gradients.pop(place.output, None)
            if arrived is None:
                continue
            if isinstance(node, Untrained):
                gradients[place.source] = add(gradients.get(place.source), node.backward(arrived, x))
                continue
            z, s = self._before(place, node)
            behind, sums = node.backward(arrived.levels, z, s)
            if place.residual is not None:
                kept = Gradient(behind, arrived.unit) if behind.any() else None
                gradients[place.residual] = add(gradients.get(place.residual), kept)
            product = node.through_scale(behind)
            if product.any():
                backed = self._back(node, product, arrived.unit, x, rate, keys)
                gradients[place.source] = add(gradients.get(place.source), backed)
            node.update(sums, arrived.unit, rate, keys[2])

    def _before(self, place: _Place, node: Node) -> tuple[Tensor, Tensor]:
        """Z and s."""
        x = self._values[place.source]
        s = node.convolve(x) if isinstance(node, Convolution) else x
        return node.before(s, None if place.residual is None else self._values[place.residual]), s

    def _back(
        self, node: Node, product: Tensor, unit: float, x: Tensor, rate: float, keys: tuple[int, int, int]
    ) -> Gradient | None:
        """The gradient of the input from G' M; a convolution's weights take their step."""
        if not isinstance(node, Convolution):
            return node.to_input(product, unit)
        h, scale = stochastic_8_bits(product, keys[0])
        unit = unit * node.out.step * 2.0**-node.fraction * scale
        by_weight, by_input = node.gradients(h, x)
        backed = node.through(by_input, x, unit)  # before the weights change
        node.update_weights(by_weight, unit, rate, keys[1])
        return backed


class QuantizedTailLearner(QuantizedCWRStar):
    """CWR* over a tail that is trained along with the head, while latents of one bit are replayed.

    A mini-batch of ``batch`` has new samples, then ``replayed`` items of the memory, or all if there are fewer, which
    take turns; ``current`` counts both. After experience i (the backbone's is 0) new latents fill the free places, and
    then replace others at random until ``min(capacity / (i + 1), N)`` were taken in.

    Args:
        packed: from :func:`~tests.oracle.learner.packed_tail.read_tail`.
        num_classes: rows in all; the first ones are the file's classes.
        capacity: items of the memory.
        seed: the generator's first state.
        epochs: over the new samples of an experience.
        batch: samples of a mini-batch.
        replayed: those of them that are items, fewer than all; by default 36 of 50.
        learning_rate: of the head.
        tail_rate: of the tail.

    Raises:
        OnebitError: ``replayed`` leaves no new sample in a mini-batch.

    Attributes:
        tail: what its masters are now.
        items: bool (n, h, w, c), the memory's bits, True for −1; item_labels: int64 (n,).

    Example:
        >>> from onebit import deploy, models
        >>> from tests.oracle.learner.packed_tail import read_tail
        >>> net, images = models.create("small", num_classes=2, latent_sign="blocks.1"), torch.randn(6, 1, 8, 8)
        >>> path = getfixture("tmp_path") / "m.obn"
        >>> _ = deploy.export(net, path, images, teachable=deploy.Teachable(images, [0, 1, 0, 1, 0, 1]))
        >>> learner = QuantizedTailLearner(read_tail(path), 3, epochs=1)
        >>> learner.learn(torch.randn(4, 4, 4, 96), torch.tensor([2, 2, 2, 2]))
        >>> len(learner.items), learner.predict(torch.randn(7, 4, 4, 96)).shape
        (10, torch.Size([7]))
    """

    def __init__(
        self,
        packed: PackedTail,
        num_classes: int,
        *,
        capacity: int = 300,
        seed: int = 0,
        epochs: int = 10,
        batch: int = 50,
        replayed: int | None = None,
        learning_rate: float = 0.1,
        tail_rate: float = 0.1,
    ) -> None:
        replayed = max(1, batch * 36 // 50) if replayed is None else replayed
        if not 1 <= replayed < batch:
            raise OnebitError(
                f"a mini-batch of {batch} has no new sample beside {replayed} replayed ones",
                hint="let replayed be 1 or more, and batch larger",
            )
        weight = torch.from_numpy(packed.weight)
        bias = None if packed.bias is None else torch.from_numpy(packed.bias)
        bounds = packed.ranges[packed.features]
        super().__init__(
            weight, bias, packed.samples, bounds, num_classes, seed=seed, batch=batch, learning_rate=learning_rate
        )
        self.tail = QuantizedTail(packed)
        self.capacity, self.epochs, self.replayed = capacity, epochs, replayed
        self.tail_rate, self.taught = tail_rate, 0
        stored = len(packed.labels)
        kept = [j * stored // capacity for j in range(capacity)] if stored > capacity else list(range(stored))
        self.items = torch.from_numpy(packed.replay)[kept]
        self.item_labels = torch.tensor(packed.labels, dtype=torch.int64)[kept]
        self._new = 0

    def levels(self, features: Tensor) -> Tensor:
        """What the head multiplies with, int64 (n, d or d + 1), of latents' bits, bool (n, h, w, c)."""
        x = self.tail.forward(features)
        return x if self.bias_level is None else torch.cat([x, torch.full((len(x), 1), self.bias_level)], dim=1)

    def predict(self, features: Tensor) -> Tensor:
        """The most likely of the classes seen, int64 (n,), of latents (n, h, w, c), of which the signs count."""
        return super().predict(features < 0)

    def learn(self, features: Tensor, labels: Tensor) -> None:
        """One experience: latents (n, h, w, c), of which the signs count, labels int64 (n,)."""
        negative = features < 0
        self._new = len(labels)
        super().learn(torch.cat([negative, self.items]), torch.cat([labels, self.item_labels]))
        self.taught += 1
        if self.capacity > 0:
            self._remember(negative, labels)

    def _train(self, masters: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        new, items = self._new, len(targets) - self._new
        fresh, kept, at = list(range(new)), list(range(items)), 0
        width, replayed = math.prod(self.tail.shape), min(self.replayed, items)
        for _ in range(self.epochs):
            self.random.shuffle(fresh)
            for begin in range(0, new, self.batch - replayed):
                chosen = fresh[begin : begin + self.batch - replayed]
                for _ in range(replayed):
                    if at == 0:
                        self.random.shuffle(kept)
                    chosen.append(new + kept[at])
                    at = (at + 1) % items
                levels = self.levels(inputs[chosen])
                masters, gradient, unit = self._step(masters, levels, targets[chosen])
                self.tail.backward(gradient[:, :width], unit, self.tail_rate, self.random)
        return masters

    def _remember(self, negative: Tensor, labels: Tensor) -> None:
        order = list(range(len(labels)))
        self.random.shuffle(order)
        filled = min(self.capacity - len(self.items), len(order))
        self.items = torch.cat([self.items, negative[order[:filled]]])
        self.item_labels = torch.cat([self.item_labels, labels[order[:filled]]])
        replaced = max(0, min(self.capacity // (self.taught + 1), len(order)) - filled)
        slots = list(range(self.capacity))
        for j in range(replaced):
            other = j + self.random.below(self.capacity - j)
            slots[j], slots[other] = slots[other], slots[j]
            self.items[slots[j]] = negative[order[filled + j]]
            self.item_labels[slots[j]] = labels[order[filled + j]]
