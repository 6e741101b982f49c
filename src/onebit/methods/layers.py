"""The layers that a method takes hold of."""

from torch import nn

from onebit.errors import OnebitError
from onebit.nn import BinaryLayer, binary_layers


def require_binary_layers(net: nn.Module, owner: str) -> list[BinaryLayer]:
    """The network's binary layers; raises OnebitError in the name of ``owner`` if it has none.

    Example:
        >>> require_binary_layers(nn.Linear(2, 2), "ReCU")
        Traceback (most recent call last):
        ...
        onebit.errors.OnebitError: ReCU: the network has no binary layer (build it without full_precision)
    """
    layers = [layer for _, layer in binary_layers(net)]
    if not layers:
        raise OnebitError(f"{owner}: the network has no binary layer", hint="build it without full_precision")
    return layers
