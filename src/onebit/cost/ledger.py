"""The ledger: the cost of training and of inference of a network, layer by layer."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult

from onebit.cost.energy import joule
from onebit.cost.rule import FULL, CostRule, Widths, relative_cost, tally
from onebit.cost.table import tables
from onebit.tables import Printable

Pair = tuple[int, int]
ByWidth = Mapping[Pair, float]
BACKWARD = ("error", "weight")


@dataclass(frozen=True)
class LayerCost:
    """Multiply-accumulates (MACs) of one layer for one sample.

    Args:
        name: its name in the network.
        kind: name of its class.
        output_shape: without the batch.
        macs: MACs per product: ``forward``; ``error``, the gradient of the layer's input; ``weight``, the gradient of
            its weight. A gradient that nothing needs is 0.
        quantized: the method's rule applies.
        inference: operand widths at inference, the wider first.
        operands: operand widths in training.
        charged: operand widths as the method's paper counts them.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    macs: dict[str, int]
    quantized: bool
    inference: Pair
    operands: tuple[Widths, ...]
    charged: tuple[Widths, ...]

    def by_width(self, product: str) -> ByWidth:
        """MACs of one product by operand widths, the mean over training."""
        return tally(self.operands, product, self.macs[product])

    @property
    def saved_percent(self) -> float:
        """Bit operations of training saved against the same layer in 32 bits."""
        return _saved_percent([self], charged=False)

    def to_dict(self) -> dict[str, Any]:
        products = {product: _plain(self.by_width(product)) for product in self.macs}
        about = {"name": self.name, "kind": self.kind, "output_shape": list(self.output_shape)}
        return {**about, "macs": self.macs["forward"], **products, "saved_percent": self.saved_percent}


@dataclass(frozen=True)
class Ledger(Printable):
    """Counts for one sample: MACs by operand widths, and the figures that follow from them; printed as tables.

    Args:
        layers: in the order of execution.
        rule: the method's; None without a method.
        memory_bytes: bytes per kind, for ``batch`` samples, as PyTorch holds it.
        counted_memory_bytes: the same with the operands of the products at their widths.
        batch: samples.
        uncounted: layers with weights of a kind that the ledger cannot count.
    """

    layers: tuple[LayerCost, ...]
    rule: CostRule | None
    memory_bytes: dict[str, int]
    counted_memory_bytes: dict[str, int]
    batch: int
    uncounted: tuple[str, ...] = ()

    @property
    def forward(self) -> ByWidth:
        """MACs of the forward pass by operand widths."""
        return self._by_width("forward")

    @property
    def backward(self) -> ByWidth:
        """MACs of the error and weight gradients by operand widths."""
        return self._by_width(*BACKWARD)

    @property
    def total(self) -> ByWidth:
        """MACs of a training step by operand widths."""
        return self._by_width("forward", *BACKWARD)

    @property
    def saved_percent(self) -> float:
        """Bit operations of training saved against the same network in 32 bits: 100 (1 − Σ MACs b₁b₂ / Σ MACs 32²).

        All layers and all three products, each at the widths of the operands that really enter it.
        """
        return _saved_percent(self.layers, charged=False)

    @property
    def charged_saved_percent(self) -> float:
        """The same with the operand widths that the method's paper counts."""
        return _saved_percent(self.layers, charged=True)

    @property
    def paper_formula_saved_percent(self) -> float | None:
        """CycleBNN's formula: layers not weighted, full-precision layers left out; None without a method."""
        return 100 * self.rule.unweighted_saving() if self.rule else None

    @property
    def inference(self) -> dict[str, float]:
        """``bops``: MACs of 1 × 1 bit; ``flops``: all other MACs; ``ops`` = bops / 64 + flops (Bi-Real Net)."""
        bops = sum(layer.macs["forward"] for layer in self.layers if layer.inference == (1, 1))
        flops = sum(layer.macs["forward"] for layer in self.layers) - bops
        return {"bops": bops, "flops": flops, "ops": bops / 64 + flops}

    @property
    def energy_joule(self) -> dict[str, float]:
        """Arithmetic of one sample: at inference, in a training step, and in a training step in 32 bits."""
        at_inference: Counter[Pair] = Counter()
        for layer in self.layers:
            at_inference[layer.inference] += layer.macs["forward"]
        return {
            "inference": _energy(at_inference),
            "training": _energy(self.total),
            "training_full_precision": _energy({(FULL, FULL): sum(self.total.values())}),
        }

    def under(self, rule: CostRule) -> "Ledger":
        """The same counts with the widths of another rule, such as that of a method which knows its widths only after a
        run."""
        charged = rule.charged or rule.operands
        layers = tuple(
            replace(layer, operands=rule.operands, charged=charged) if layer.quantized else layer
            for layer in self.layers
        )
        return replace(self, layers=layers, rule=rule)

    def to_dict(self) -> dict[str, Any]:
        """The object that ``onebit cost --json`` prints: MACs and joule are for one sample, bytes for ``batch``."""
        return {
            "layers": [layer.to_dict() for layer in self.layers],
            "forward": _plain(self.forward),
            "backward": _plain(self.backward),
            "total": _plain(self.total),
            "saved_percent": self.saved_percent,
            "charged_saved_percent": self.charged_saved_percent,
            "paper_formula_saved_percent": self.paper_formula_saved_percent,
            "inference": self.inference,
            "batch": self.batch,
            "memory_bytes": self.memory_bytes,
            "counted_memory_bytes": self.counted_memory_bytes,
            "energy_joule": self.energy_joule,
            "published": [statement.to_dict() for statement in self.rule.published] if self.rule else [],
            "uncounted": list(self.uncounted),
        }

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from tables(self.to_dict())

    def _by_width(self, *products: str) -> ByWidth:
        counts: Counter[Pair] = Counter()
        for layer in self.layers:
            for product in products:
                counts.update(layer.by_width(product))
        return dict(counts)


def _saved_percent(layers: Iterable[LayerCost], charged: bool) -> float:
    spent = full = 0.0
    for layer in layers:
        for product, macs in layer.macs.items():
            widths = layer.charged if charged else layer.operands
            spent += sum(count * relative_cost(pair) for pair, count in tally(widths, product, macs).items())
            full += macs
    return 100 * (1 - spent / full) if full else 0.0


def _energy(counts: ByWidth) -> float:
    return sum(macs * joule(*pair) for pair, macs in counts.items())


def _plain(counts: ByWidth) -> dict[str, float]:
    return {f"{wide}x{narrow}": macs for (wide, narrow), macs in sorted(counts.items())}
