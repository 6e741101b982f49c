"""Whether a file answers as its network does: tried on images before the file is written.

Signs make the comparison of two answers worth little: where a number lies within rounding of a threshold, PyTorch and
the file may take different signs, and what follows differs by much. So each layer is compared alone: PyTorch runs the
network's calls, and after each one whose result the file also computes, the two are compared and PyTorch goes on with
the file's numbers. Then both sides take the same signs, and only the rounding of one layer is left between them, which
is bounded by the magnitudes that the layer adds up.
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.nn import functional

from onebit import _engine
from onebit.deploy import calibrate
from onebit.deploy.trace import Trace
from onebit.errors import OnebitError
from onebit.format.epilogue import Epilogue
from onebit.format.graph import AveragePool, ConvBinary, ConvFloat, Graph, Node, Pointwise, Value
from onebit.format.limits import MAX_OUTPUTS

_EPSILON = torch.finfo(torch.float32).eps
_SLACK = 256  # units of rounding at the largest number of a layer: what BatchNorm's mean and bias cancel is not seen
_TOGETHER = 2  # images, of which every value of the network is held
_NEAR = 1e-3  # of the largest logit: the same answer but for rounding
_HINT = "what the layer computes is not what its type says, such as a replaced method; write it as a module of its own"


@dataclass(frozen=True)
class Verified:
    """How the file and the network were compared.

    Attributes:
        images: how many were tried: of the example, changed a little, and noise.
        isas: the instruction sets on which the file answered, with the same bits.
        difference: the largest between the logits of file and network, as share of the largest logit, on the images
            where every sign agrees.
        near: on how many images a sign that lies within rounding of its threshold fell otherwise.
    """

    images: int
    isas: tuple[str, ...]
    difference: float
    near: int

    def __str__(self) -> str:
        near = f"; on {self.near} of them a sign within rounding of its threshold fell otherwise" if self.near else ""
        return (
            f"verified on {self.images} images on {' and '.join(self.isas)}: logits differ from the network's by "
            f"{self.difference:.1g} of the largest{near}"
        )


def trial_images(example: Tensor) -> Tensor:
    """Images that a network is tried on: two of the example, these changed a little, and noise; float32 (8, C, H, W).

    Example:
        >>> trial_images(torch.zeros(1, 3, 4, 4)).shape
        torch.Size([8, 3, 4, 4])
    """
    generator = torch.Generator().manual_seed(0)
    two = example[:2].expand(2, *example.shape[1:]).clone() if len(example) == 1 else example[:2].clone()
    low, high = float(example.min()), float(example.max())
    deviation = float(example.std()) if high > low else 1.0
    noise = torch.randn(3, *two.shape, generator=generator)
    even = torch.rand(two.shape, generator=generator) * max(high - low, 1.0) + low
    return torch.cat([two, two + 0.1 * deviation * noise[0], even, float(example.mean()) + deviation * noise[1]])


@torch.no_grad()
def verify_layers(net: nn.Module, trace: Trace, graph: Graph, images: Tensor) -> Verified:
    """Compares each layer of a graph with the call of the network that it came from.

    Args:
        net: in evaluation mode.
        trace: of ``net``.
        graph: ``trace.graph``, folded, its real-valued layers in float32.
        images: float32 (N, C, H, W).

    Raises:
        OnebitError: the network changes while it answers, answers otherwise than its trace, or a layer differs by more
            than rounding; names the first.
    """
    answers = _steady(net, images)
    plain = _Replay(trace, {}, {})
    replayed = plain.run(images.clone())
    if not _near(replayed, answers, _NEAR):
        raise OnebitError(
            "the network answers otherwise than the calls that torch.fx recorded of it: the logits differ by "
            f"{float((replayed - answers).abs().max()):.3g}",
            hint="look for code that runs when it is called, but not while it is traced",
        )
    logits = torch.cat([_same_layers(trace, graph, part) for part in images.split(_TOGETHER)])
    error = (logits - plain.logits.flatten(1)).abs().amax(1) / _largest(plain.logits)
    near = error > _NEAR
    return Verified(len(images), (), float(error[~near].max()) if not bool(near.all()) else 0.0, int(near.sum()))


def verify_file(content: bytes, images: Tensor) -> tuple[str, ...]:
    """Runs a file on the fastest instruction set here and on the portable one; returns their names.

    Raises:
        OnebitError: they give different bits.
    """
    model, answers = _engine.Model.from_bytes(content), {}
    inputs = np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
    names = [name for name, _ in model.outputs]
    for isa in dict.fromkeys((_engine.isas()[0], "portable")):
        answers[isa] = [np.empty((len(images), *sides), np.float32) for _, sides in model.outputs]
        _engine.Session(model, len(images), 1, isa, names).run(inputs, answers[isa])
    first, *others = answers.values()
    for other in others:
        for name, a, b in zip(names, first, other, strict=True):
            if not np.array_equal(a, b):
                raise OnebitError(
                    f"the output '{name}' differs between {' and '.join(answers)}", hint="report it with the checkpoint"
                )
    return tuple(answers)


def _same_layers(trace: Trace, graph: Graph, images: Tensor) -> Tensor:
    """Compares each layer, and returns the file's logits, (N, K)."""
    ours = _answers(graph, images)
    producers = {id(node.output): node for node in graph.nodes}
    pairs = {call: (producers[id(value)], ours[value]) for call, value in trace.values.items() if value in ours}
    _Replay(trace, pairs, {**ours, graph.input: images.permute(0, 2, 3, 1)}).run(images.clone())
    return ours[graph.outputs["logits"]].permute(0, 3, 1, 2).flatten(1)


def _steady(net: nn.Module, images: Tensor) -> Tensor:
    """The logits, if the network gives them twice and stays as it is."""
    for name, module in net.named_modules():
        if module.training and isinstance(module, nn.modules.batchnorm._NormBase | nn.modules.dropout._DropoutNd):
            raise OnebitError(
                f"layer '{name}' ({type(module).__name__}) stays in training mode", hint="let net.eval() reach it"
            )
    before = {name: value.clone() for name, value in net.state_dict().items() if isinstance(value, Tensor)}
    logits, again = net(images.clone()), net(images.clone())
    if not torch.equal(logits, again):
        raise OnebitError(
            "the network gives two answers to the same images", hint="it must not draw at random in evaluation mode"
        )
    for name, value in net.state_dict().items():
        if name in before and not torch.equal(before[name], value):
            raise OnebitError(f"the network changes its '{name}' while it answers", hint="in evaluation it may not")
    return logits


def _answers(graph: Graph, images: Tensor) -> dict[Value, Tensor]:
    """Every float value of the graph but its input, as (N, h, w, c)."""
    values = [node.output for node in graph.nodes if not node.output.bits]
    found: dict[Value, Tensor] = {}
    for start in range(0, len(values), MAX_OUTPUTS):
        some = values[start : start + MAX_OUTPUTS]
        batches = list(calibrate.outputs(graph, images, some, "verifying"))
        for index, value in enumerate(some):
            found[value] = torch.from_numpy(np.concatenate([batch[index] for batch in batches]))
    return found


class _Replay(fx.Interpreter):
    """Runs a trace, compares each call in ``pairs`` with the file, and goes on with the file's numbers."""

    logits: Tensor

    def __init__(self, trace: Trace, pairs: dict[fx.Node, tuple[Node, Tensor]], ours: dict[Value, Tensor]) -> None:
        super().__init__(trace.calls)
        self.trace = trace
        self.pairs = pairs
        self.ours = ours

    def run_node(self, n: fx.Node) -> object:
        y = super().run_node(n)
        if n in self.pairs:
            node, ours = self.pairs[n]
            spread = _spread(node, [self.ours.get(x) for x in node.inputs])
            ours, spread = (x.expand(ours.shape).permute(0, 3, 1, 2).reshape(y.shape) for x in (ours, spread))
            bound = _EPSILON * (_terms(node) * spread + _SLACK * y.abs().max())
            wrong = ~((ours - y).abs() <= bound)
            if bool(wrong.any()):
                at = int((ours - y).abs().where(wrong, 0).flatten().argmax())
                raise OnebitError(
                    f"layer '{node.name}' answers otherwise in the file: {float(ours.flatten()[at]):.6g}, "
                    f"in PyTorch: {float(y.flatten()[at]):.6g}",
                    hint=_HINT,
                )
            y.copy_(ours)
        if n is self.trace.logits:
            self.logits = y.clone()
        return y


def _terms(node: Node) -> float:
    """How far the sums of a node may round, in units of ``_EPSILON`` of their magnitudes."""
    taps = node.weight[0].size if isinstance(node, ConvFloat | ConvBinary) else 1
    if isinstance(node, AveragePool):
        taps = int(np.prod(node.window.kernel))
    return 8 + 2 * float(np.sqrt(taps))


def _spread(node: Node, inputs: list[Tensor | None]) -> Tensor:
    """The magnitudes that a node adds up, (N or 1, h or 1, w or 1, c); absent inputs are bits."""
    first, *others = inputs
    if isinstance(node, ConvBinary):
        total = torch.full((1, 1, 1, len(node.weight)), float(node.weight[0].size))
    elif isinstance(node, ConvFloat):
        assert first is not None
        top, left, bottom, right = node.window.padding
        padded = functional.pad(first.abs().permute(0, 3, 1, 2), (left, right, top, bottom))
        weight = torch.from_numpy(np.abs(node.weight).astype(np.float32)).permute(0, 3, 1, 2)
        total = functional.conv2d(padded, weight, None, node.window.stride, 0, node.window.dilation, node.groups)
        total = total.permute(0, 2, 3, 1)
    else:
        total = torch.ones(1) if first is None else first.abs()
        if not isinstance(node, Pointwise):
            return total.max().view(1, 1, 1, 1)
    if isinstance(node, ConvBinary | ConvFloat | Pointwise):
        total = _after(node.epilogue, total, [x.abs() for x in others if x is not None])
    return total


def _after(epilogue: Epilogue, total: Tensor, added: list[Tensor]) -> Tensor:
    if epilogue.scale is not None:
        total = total * _magnitude(epilogue.scale)
    if epilogue.bias is not None:
        total = total + _magnitude(epilogue.bias)
    total = reduce(torch.add, added, total)
    if epilogue.slope is not None:
        total = total * _magnitude(epilogue.slope).clamp_min(1)
    return total if epilogue.post is None else total + _magnitude(epilogue.post)


def _magnitude(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.abs(values).astype(np.float32))


def _largest(logits: Tensor) -> Tensor:
    return logits.abs().max().clamp_min(torch.finfo(torch.float32).tiny)


def _near(a: Tensor, b: Tensor, share: float) -> bool:
    return a.shape == b.shape and bool(((a - b).abs() <= share * _largest(b)).all())
