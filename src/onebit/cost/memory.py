"""Memory of a network in training, as PyTorch holds it and at the widths that are counted."""

from collections.abc import Sequence

import torch
from torch import Tensor, UntypedStorage, nn

from onebit.cost.rule import FULL, CostRule, Widths
from onebit.errors import OnebitError
from onebit.nn import QuantizedLayer, quantized_layers

SLOTS = {"adamw": 2, "adam": 2, "sgd": 1}
"""Tensors that an optimiser keeps for each parameter; SGD with momentum."""


def layer_widths(layer: QuantizedLayer, rule: CostRule | None) -> tuple[Widths, ...]:
    """Operand widths of a quantised layer over training: the rule's, or its quantisers' with 32-bit gradients."""
    return rule.operands if rule else (own_widths(layer),)


def own_widths(layer: QuantizedLayer) -> Widths:
    """Operand widths of a quantised layer as it stands."""
    quantizers = (layer.input_quantizer, layer.weight_quantizer)
    activation, weight = (int(getattr(quantizer, "precision", FULL)) for quantizer in quantizers)
    return Widths(1.0, activation, weight, FULL)


def fixed_bytes(net: nn.Module, optimizer: str, rule: CostRule | None = None) -> tuple[dict[str, int], dict[str, int]]:
    """Bytes that do not depend on the batch, as PyTorch holds them and as counted.

    Args:
        net: the network.
        optimizer: ``adamw``, ``adam`` or ``sgd`` (with momentum).
        rule: the method's; without one, quantised weights count with their quantiser's width.

    Returns:
        ``weights``: the weights that the layers multiply with, and all other parameters; quantised weights count at
        their maximum width over training. ``latent``: the real-valued copies of the quantised weights. ``gradients``
        and ``optimizer``: one and ``SLOTS`` values per trained parameter, which no method here keeps in fewer bits.
        ``buffers``: running statistics, and the state that a method keeps in the network from one iteration to the
        next.

    Raises:
        OnebitError: another optimiser.

    Example:
        >>> from onebit.nn import BinaryLinear
        >>> real, counted = fixed_bytes(nn.Sequential(BinaryLinear(64, 8), nn.Linear(8, 2)), "adamw")
        >>> real
        {'weights': 2120, 'latent': 2048, 'gradients': 2120, 'optimizer': 4240, 'buffers': 0}
        >>> counted["weights"]  # 64 · 8 bits and 18 floats
        136
    """
    if optimizer not in SLOTS:
        raise OnebitError(f"the memory of optimiser '{optimizer}' is not known", hint=f"known: {', '.join(SLOTS)}")
    bits = {layer.weight: widest(layer_widths(layer, rule), "weight") for _, layer in quantized_layers(net)}
    trained = [p for p in net.parameters() if p.requires_grad]
    own = rule.slots if rule else None  # of the method's optimiser, which takes the quantised weights
    real = {
        "weights": sum(_bytes(p) for p in net.parameters()),
        "latent": sum(_bytes(p) for p in bits),
        "gradients": sum(_bytes(p) for p in trained),
        "optimizer": sum(_bytes(p) * (SLOTS[optimizer] if own is None or p not in bits else own) for p in trained),
        "buffers": sum(_bytes(b) for b in net.buffers()),
    }
    weights = sum(-(-p.numel() * bits[p] // 8) if p in bits else _bytes(p) for p in net.parameters())
    latent = real["latent"] if rule is None or rule.latent else 0
    return real, {**real, "weights": weights, "latent": latent}


def widest(widths: Sequence[Widths], operand: str) -> int:
    """Maximum bits of one operand (``activation``, ``weight``, ``gradient``), for which memory must have room."""
    return max(getattr(w, operand) for w in widths)


class SavedForBackward:
    """Measures the tensors that autograd keeps between the forward and the backward pass, each storage once, without
    parameters and buffers.

    Args:
        net: its parameters and buffers are left out.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 5), nn.Tanh())
        >>> with SavedForBackward(net) as saved:
        ...     y = net(torch.zeros(2, 3))
        >>> saved.bytes()  # the input and the output of tanh
        (64, 64)
    """

    def __init__(self, net: nn.Module) -> None:
        self._own = {_address(t) for t in (*net.parameters(), *net.buffers())}
        self._bits: dict[int, int] = {}
        self._operands: dict[int, tuple[UntypedStorage, int]] = {}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._note, lambda tensor: tensor)

    def __enter__(self) -> "SavedForBackward":
        self._hooks.__enter__()
        return self

    def __exit__(self, *problem: object) -> None:
        self._hooks.__exit__(*problem)

    def operand(self, tensor: Tensor, bits: int) -> None:
        """Counts the output of a quantiser at ``bits`` per element, if it is kept; 0 for weights, counted elsewhere."""
        # the storage is held, so that its address stays its own; the tensor's graph holds this object
        self._operands[_address(tensor)] = tensor.untyped_storage(), tensor.numel() * bits

    def bytes(self) -> tuple[int, int]:
        """Bytes of all storages kept, as long as the graph lives: as PyTorch holds them, and as counted."""
        real = counted = 0
        for address, bits in self._bits.items():
            if address not in self._operands:
                real, counted = real + bits, counted + bits
            elif self._operands[address][1]:
                real, counted = real + bits, counted + self._operands[address][1]
        return real // 8, counted // 8

    def _note(self, tensor: Tensor) -> Tensor:
        address = _address(tensor)
        if address not in self._own:
            self._bits[address] = 8 * tensor.untyped_storage().nbytes()
        return tensor.detach()  # an output that its own graph holds would never be freed


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
