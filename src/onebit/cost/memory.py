"""Memory of a network in training and at inference."""

import torch
from torch import Tensor, nn

from onebit.errors import OnebitError
from onebit.nn import binary_layers

SLOTS = {"adamw": 2, "adam": 2, "sgd": 1}
"""Tensors that an optimiser keeps for each parameter; SGD with momentum."""


def fixed_bytes(net: nn.Module, optimizer: str) -> dict[str, int]:
    """Bytes that do not depend on the batch.

    Args:
        net: the network.
        optimizer: ``adamw``, ``adam`` or ``sgd`` (with momentum).

    Returns:
        ``weights``: all parameters at inference, binary ones at their bits; ``latent``: the real-valued copies of the
        binary weights; ``gradients`` and ``optimizer``: one and ``SLOTS`` values a trained parameter.

    Raises:
        OnebitError: another optimiser.

    Example:
        >>> from onebit.nn import BinaryLinear
        >>> fixed_bytes(nn.Sequential(BinaryLinear(64, 8), nn.Linear(8, 2)), "adamw")
        {'weights': 136, 'latent': 2048, 'gradients': 2120, 'optimizer': 4240}
    """
    if optimizer not in SLOTS:
        raise OnebitError(f"the memory of optimiser '{optimizer}' is not known", hint=f"known: {', '.join(SLOTS)}")
    bits = {layer.weight: getattr(layer.weight_quantizer, "precision", 1) for _, layer in binary_layers(net)}
    trained = sum(_bytes(p) for p in net.parameters() if p.requires_grad)
    return {
        "weights": sum(-(-p.numel() * bits[p] // 8) if p in bits else _bytes(p) for p in net.parameters()),
        "latent": sum(_bytes(p) for p in bits),
        "gradients": trained,
        "optimizer": SLOTS[optimizer] * trained,
    }


class SavedForBackward:
    """Measures what autograd keeps between the forward and the backward pass, each storage once, parameters and buffers
    left out.

    Args:
        net: whose parameters and buffers are left out.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 5), nn.Tanh())
        >>> with SavedForBackward(net) as saved:
        ...     y = net(torch.zeros(2, 3))
        >>> saved.bytes()  # the input and the output of tanh
        64
    """

    def __init__(self, net: nn.Module) -> None:
        self._own = {_address(t) for t in (*net.parameters(), *net.buffers())}
        self._sizes: dict[int, int] = {}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._note, lambda tensor: tensor)

    def __enter__(self) -> "SavedForBackward":
        self._hooks.__enter__()
        return self

    def __exit__(self, *problem: object) -> None:
        self._hooks.__exit__(*problem)

    def bytes(self) -> int:
        """Bytes of all storages kept, as long as the graph lives."""
        return sum(self._sizes.values())

    def _note(self, tensor: Tensor) -> Tensor:
        address = _address(tensor)
        if address not in self._own:
            self._sizes[address] = tensor.untyped_storage().nbytes()
        return tensor


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
