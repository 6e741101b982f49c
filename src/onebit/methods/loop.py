"""Ties a method to a network and a Lightning training loop."""

from typing import TYPE_CHECKING

from torch import nn

from onebit.methods.base import Method

if TYPE_CHECKING:
    from lightning.pytorch import Callback


def apply(method: Method, net: nn.Module) -> "list[Callback]":
    """Attaches a method to a network and returns the Lightning callbacks that run its schedule.

    Apply before the optimiser is made. An iteration is an optimiser step, as in the papers: the batches of one
    accumulated gradient share the method's state.

    Args:
        method: fresh; it belongs to this network from now on.
        net: made of ``onebit.nn`` layers; changed in place.

    Example:
        >>> from torch import nn
        >>> from onebit.methods import CycleBNN
        >>> from onebit.nn import BinaryConv2d
        >>> net = nn.Sequential(BinaryConv2d(4, 8, 3), nn.BatchNorm2d(8))
        >>> apply(CycleBNN(bits=(2, 6)), net)
        [<onebit.methods.callback.MethodCallback object at ...>]
        >>> net[0].input_quantizer.bits
        2
    """
    from onebit.methods.callback import MethodCallback  # imports lightning, which a plain PyTorch loop does not need

    method.attach(net)
    return [MethodCallback(method)]
