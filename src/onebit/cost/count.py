"""Counting: one forward pass of a copy of the network, seen through hooks."""

import copy
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from onebit.cost.ledger import LayerCost, Ledger
from onebit.cost.memory import SavedForBackward, fixed_bytes, layer_widths, own_widths, widest
from onebit.cost.rule import CostRule, Widths
from onebit.nn import BinaryLayer, QuantizedLayer, quantized_layers

COUNTED = (QuantizedLayer, nn.modules.conv._ConvNd, nn.Linear)


class HasCostRule(Protocol):
    """A method, as far as the ledger knows it."""

    def cost_rule(self) -> CostRule: ...


def count(
    net: nn.Module, example: Tensor, method: HasCostRule | None = None, optimizer: str = "adamw", batch: int = 1
) -> Ledger:
    """Counts the cost of training and of inference of a network.

    Convolutions and dense layers are counted, padded taps included; elementwise operations (BatchNorm, quantisers,
    scales, the optimiser) are not. Saved activations are measured in a forward pass in training mode, so apply the
    method first.

    Args:
        net: any network; it is copied, not changed.
        example: (N, ...), an input; only its first sample is used.
        method: gives the operand widths of the quantised layers; without one they are those of the layer's quantisers,
            and gradients have 32 bits.
        optimizer: ``adamw``, ``adam`` or ``sgd`` (with momentum).
        batch: samples per step, for the memory.

    Raises:
        OnebitError: another optimiser.

    Example:
        >>> from onebit.methods import CycleBNN
        >>> from onebit.nn import BinaryConv2d
        >>> net = nn.Sequential(nn.Conv2d(1, 32, 3), BinaryConv2d(32, 64, 3), nn.Flatten(), nn.Linear(64, 10))
        >>> ledger = count(net, torch.zeros(1, 1, 5, 5), method=CycleBNN())
        >>> [(layer.name, layer.macs["forward"]) for layer in ledger.layers]
        [('0', 2592), ('1', 18432), ('3', 640)]
        >>> ledger.forward
        {(32, 32): 3232.0, (1, 1): 18432.0}
        >>> round(ledger.paper_formula_saved_percent, 2)
        97.32
    """
    rule = method.cost_rule() if method else None
    real, counted = fixed_bytes(net, optimizer, rule)
    seen: dict[str, LayerCost] = {}
    two, four = (_forward(net, example, samples, rule, seen if samples == 2 else {}) for samples in (2, 4))
    real["activations"], counted["activations"] = (
        few + (many - few) * (batch - 2) // 2 for few, many in zip(two, four, strict=True)
    )
    uncounted = tuple(
        name
        for name, module in net.named_modules()
        if not isinstance(module, COUNTED) and any(p.dim() > 1 for p in module.parameters(recurse=False))
    )
    return Ledger(tuple(seen.values()), rule, real, counted, batch, uncounted)


def _forward(
    net: nn.Module, example: Tensor, samples: int, rule: CostRule | None, seen: dict[str, LayerCost]
) -> tuple[int, int]:
    """Bytes saved for the backward pass of ``samples`` samples, real and counted; notes each layer in ``seen``."""
    twin = copy.deepcopy(net).train()
    for name, module in twin.named_modules():
        if isinstance(module, COUNTED):
            module.register_forward_hook(_note(name, rule, seen))
    x = example[:1].expand(samples, *example.shape[1:]).clone()
    with torch.random.fork_rng(), torch.enable_grad(), SavedForBackward(twin) as saved:
        for _, layer in quantized_layers(twin):
            bits = widest(layer_widths(layer, rule), "activation")
            layer.input_quantizer.register_forward_hook(_operand(saved, bits))
            layer.weight_quantizer.register_forward_hook(_operand(saved, 0))
        output = twin(x)  # held until measured, with what it saves
        size = saved.bytes()
    del output
    return size


def _operand(saved: SavedForBackward, bits: int) -> Callable[..., None]:
    def hook(quantizer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if output is not inputs[0]:  # an identity quantises nothing
            saved.operand(output, bits)

    return hook


def _note(name: str, rule: CostRule | None, seen: dict[str, LayerCost]) -> Callable[..., None]:
    def hook(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        x, weight = inputs[0], module.weight
        places = x if getattr(module, "transposed", False) else output  # where a filter is applied
        macs = places.numel() // len(places) * weight[0].numel()
        before = seen[name].macs if name in seen else {"forward": 0, "error": 0, "weight": 0}
        now = {"forward": macs, "error": macs * x.requires_grad, "weight": macs * weight.requires_grad}
        quantized = isinstance(module, QuantizedLayer)
        operands = layer_widths(module, rule) if quantized else (Widths(),)
        seen[name] = LayerCost(
            name=name,
            kind=type(module).__name__,
            output_shape=tuple(output.shape[1:]),
            macs={product: before[product] + now[product] for product in now},
            quantized=quantized,
            inference=_at_inference(module, rule).products()["forward"],
            operands=operands,
            charged=(rule.charged or operands) if rule and quantized else operands,
        )

    return hook


def _at_inference(layer: nn.Module, rule: CostRule | None) -> Widths:
    """A k-bit layer runs at the width at which training ends, its maximum; a binary layer at one bit throughout."""
    if not isinstance(layer, QuantizedLayer):
        return Widths()
    if rule is None or isinstance(layer, BinaryLayer):
        return own_widths(layer)
    return Widths(1.0, widest(rule.operands, "activation"), widest(rule.operands, "weight"))
