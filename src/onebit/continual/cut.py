"""A network in two: the frozen part below a cut, and the trainable tail above it."""

import copy
from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor, fx, nn

from onebit.errors import OnebitError
from onebit.nn.tracing import trace

_WHOLE = ("onebit.nn", "onebit.quantize", "onebit.methods")  # their modules are taken as they are, not traced through


@dataclass(frozen=True)
class Split:
    """The parts of a network: ``head(tail(front(images)))``.

    Attributes:
        front: from images to latents; in evaluation mode, without gradients.
        tail: from latents to what the head multiplies with, (N, d); if the head has a bias, a last column of ones is
            in it.
        weight: (K, d), the rows of the head, the bias as last column.
    """

    front: nn.Module
    tail: nn.Module
    weight: Tensor

    def rows(self, classes: int) -> Tensor:
        """``weight`` with rows of zeros for the classes to come; (classes, d)."""
        return torch.cat([self.weight, self.weight.new_zeros(classes - len(self.weight), self.weight.shape[1])])

    @torch.no_grad()
    def latents(self, images: Tensor, batch: int = 256) -> Tensor:
        """``front`` over many images, some at a time."""
        return torch.cat([self.front(part) for part in images.split(batch)])


class WithBias(nn.Module):
    """:func:`with_bias` as a module."""

    def forward(self, features: Tensor) -> Tensor:
        return with_bias(features)


def with_bias(features: Tensor) -> Tensor:
    """(N, d) -> (N, d + 1): the last column is 1, so that its weight is a bias.

    Example:
        >>> with_bias(torch.zeros(1, 2))
        tensor([[0., 0., 1.]])
    """
    return torch.cat([features, features.new_ones(len(features), 1)], dim=1)


def split(net: nn.Module, at: str) -> Split:
    """Cuts a network before the module ``at``; everything from it on is the tail, and what enters it is the latent.

    The parts are copies: ``net`` stays as it is. Any module of ``net.named_modules()`` may be named that every path
    from the image goes through, for instance a block with its shortcut; ``head`` leaves the head alone in the tail.

    Args:
        net: traceable by torch.fx, with its last dense layer in ``head`` (all models of :mod:`onebit.models` are).
        at: the module's name.

    Raises:
        OnebitError: there is no such module, it cannot be traced, has no ``head``, or a shortcut passes it by.

    Example:
        >>> from onebit import models
        >>> net = models.create("small", num_classes=6).eval()
        >>> parts = split(net, at="blocks.2")
        >>> latents = parts.latents(torch.randn(5, 1, 8, 8))
        >>> latents.shape, parts.tail(latents).shape, parts.weight.shape
        (torch.Size([5, 96, 4, 4]), torch.Size([5, 97]), torch.Size([6, 97]))
    """
    net = copy.deepcopy(net).eval()
    head = getattr(net, "head", None)
    if not isinstance(head, nn.Linear):
        raise OnebitError(f"{type(net).__name__} has no dense layer 'head'", hint="name its last layer head")
    calls = trace(net, lambda module, name: name == at or type(module).__module__.startswith(_WHOLE))
    graph = calls.graph
    cut, features = _input(graph, at), _input(graph, "head")
    below = _ancestors(cut) | {cut}
    front = _part(calls, [node for node in graph.nodes if node in below], None, cut)
    above = (_ancestors(features) | {features}) - below
    if features is not cut and cut not in _ancestors(features):
        raise OnebitError(f"the head does not come after '{at}'", hint="cut before a module that leads to the head")
    tail = _part(calls, [node for node in graph.nodes if node in above], cut, features)
    weight = head.weight.detach().clone()
    if head.bias is not None:
        weight = torch.cat([weight, head.bias.detach()[:, None]], dim=1)
        tail = nn.Sequential(tail, WithBias())
    return Split(front.requires_grad_(False), tail, weight)


def _input(graph: fx.Graph, name: str) -> fx.Node:
    """The input of a module."""
    calls = [node for node in graph.nodes if node.op == "call_module"]
    own = [node for node in calls if node.target == name]
    if len(own) != 1:
        raise OnebitError(
            f"the network calls a module '{name}' {len(own)} times",
            hint=f"choose one that it calls once: {', '.join(dict.fromkeys(str(node.target) for node in calls))}",
        )
    return own[0].all_input_nodes[0]


def _ancestors(node: fx.Node) -> set[fx.Node]:
    found: set[fx.Node] = set()
    waiting = list(node.all_input_nodes)
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += one.all_input_nodes
    return found


def _part(calls: nn.Module, nodes: list[fx.Node], entry: fx.Node | None, result: fx.Node) -> nn.Module:
    """The nodes as a module of their own; ``entry`` becomes its input, None if it has the network's."""
    if result is entry or result.op == "placeholder":
        return nn.Identity()
    graph = fx.Graph()
    copies = {} if entry is None else {entry: graph.placeholder("latent")}

    def inside(node: fx.Node) -> fx.Node:
        if node not in copies:
            if node.op != "get_attr":
                _refuse(node)
            copies[node] = graph.node_copy(node)
        return copies[node]

    for node in nodes:
        copies[node] = graph.node_copy(node, inside)
    graph.output(copies[result])
    return fx.GraphModule(calls, graph)


def _refuse(node: fx.Node) -> NoReturn:
    raise OnebitError(f"'{node.name}' passes the cut by", hint="cut before a block that holds its whole shortcut")
