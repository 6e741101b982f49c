"""The report of an export: what it packed and what not."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from torch import nn

from onebit.deploy.int8 import Agreement
from onebit.deploy.verify import Verified
from onebit.format.graph import Binarize, ConvBinary, ConvFloat, ConvInt8, Graph, Node
from onebit.format.writer import constant_bytes
from onebit.nn import BinaryLayer
from onebit.tables import Printable, layer_table

_WEIGHT_BITS = {ConvBinary: 1, ConvInt8: 8, ConvFloat: 32}


@dataclass(frozen=True)
class Layer:
    """A row: one node of the file. Bits are 0 where there are no weights; ``bytes`` are those of its constants."""

    name: str
    kind: str
    weight_bits: int
    activation_bits: int
    bytes: int
    packed: bool
    why: str


@dataclass(frozen=True)
class Report(Printable):
    """The file written, its length in bytes, its layers, remarks, how it was compared with the network, and how int8
    agrees if it was asked for.

    It is printed as a table.
    """

    path: str
    bytes: int
    layers: list[Layer]
    notes: list[str]
    verified: Verified
    int8: Agreement | None = None

    def as_dict(self) -> dict[str, Any]:
        """What ``onebit export --json`` prints."""
        return asdict(self)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield layer_table(f"{self.path}: {self.bytes:,} bytes", map(vars, self.layers))
        yield from self.notes
        yield str(self.verified)


def rows(graph: Graph, net: nn.Module, remarks: Mapping[Node, str]) -> list[Layer]:
    """A row for each node of the graph that was made from ``net``; ``remarks`` add to its ``why``."""
    return [_row(graph, net, node, remarks.get(node, "")) for node in graph.nodes]


def _row(graph: Graph, net: nn.Module, node: Node, remark: str) -> Layer:
    weight_bits = _WEIGHT_BITS.get(type(node), 0)
    return Layer(
        name=node.name,
        kind=node.kind,
        weight_bits=weight_bits,
        activation_bits=1 if node.inputs[0].bits else 8 if isinstance(node, ConvInt8) else 32,
        bytes=sum(constant_bytes(constant) for constant in node.constants()),
        packed=weight_bits == 1,
        why="; ".join(filter(None, (_why(graph, net, node), remark))),
    )


def _why(graph: Graph, net: nn.Module, node: Node) -> str:
    if isinstance(node, ConvBinary):
        return f"writes {'bits' if node.output.bits else 'floats'}"
    if isinstance(node, Binarize):
        return "floats to bits"
    if not isinstance(node, ConvFloat | ConvInt8):
        return ""
    source = dict(net.named_modules()).get(node.name)
    if isinstance(source, BinaryLayer):
        return "its input is not quantized"
    if node.inputs[0] is graph.input:
        return "first layer: real-valued input"
    if node.output is graph.outputs.get("logits"):
        return "last layer: real-valued weights"
    return f"real-valued weights ({type(source).__name__})"
