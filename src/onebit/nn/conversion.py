"""Any network of torch's layers as a binary one."""

from collections.abc import Collection
from typing import Any, TypeVar, cast

from torch import nn

from onebit.errors import OnebitError, nearest
from onebit.nn.binary_conv import BinaryConv2d
from onebit.nn.binary_layer import BinaryLayer
from onebit.nn.binary_linear import BinaryLinear

Net = TypeVar("Net", bound=nn.Module)
_SHAPE = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")


def binarize(net: Net, keep: Collection[str] | None = None) -> Net:
    """Replaces a network's convolutions and dense layers by binary ones, in place.

    The rule: every ``nn.Conv2d`` and ``nn.Linear`` becomes a :class:`~onebit.nn.BinaryConv2d` or
    :class:`~onebit.nn.BinaryLinear` with the same shape, weight and bias, except those in ``keep``. The weights go on
    as latent ones. Nothing else changes: BatchNorm should follow a binary convolution, and an activation in front of
    one must leave both signs (``Hardtanh`` or ``PReLU``, not ``ReLU``), or the layer sees +1 alone.

    Args:
        net: any network; shared layers stay shared.
        keep: names of layers that stay real-valued, or of modules that hold them. By default the first and the last
            convolution or dense layer in the order of ``net.named_modules()``, as in the papers.

    Returns:
        ``net``.

    Raises:
        OnebitError: a name in ``keep`` is unknown, nothing is left to replace, or a layer has no binary form: a
            subclass, a parametrisation, a hook, or padding other than zeros. Then nothing was changed.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Hardtanh(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(8, 2))
        >>> [type(layer).__name__ for layer in binarize(net)]
        ['Conv2d', 'Hardtanh', 'BinaryConv2d', 'Flatten', 'Linear']
    """
    modules = dict(net.named_modules())
    layers = {name: module for name, module in modules.items() if isinstance(module, nn.Conv2d | nn.Linear)}
    if keep is None:
        keep = [*layers][:1] + [*layers][-1:]
    for name in keep:
        if name not in modules:
            raise OnebitError(
                f"keep: the network has no module '{name}'",
                hint=nearest(name, modules, f"its layers are {', '.join(layers)}"),
            )
    chosen = {name: layer for name, layer in layers.items() if not any(f"{name}.".startswith(f"{k}.") for k in keep)}
    if not chosen or "" in chosen:
        raise OnebitError("there is no layer to binarise", hint="keep fewer layers, or wrap it: nn.Sequential(layer)")
    binary = {layer: _binary(name, layer) for name, layer in chosen.items()}
    for module in modules.values():
        for name, child in module.named_children():
            if child in binary:
                setattr(module, name, binary[child])
    return net


def _binary(name: str, layer: nn.Conv2d | nn.Linear) -> BinaryLayer:
    if type(layer) not in (nn.Conv2d, nn.Linear):
        raise OnebitError(
            f"layer '{name}' is a {type(layer).__name__}: what it does beside its type would be lost",
            hint="keep it, or write it with the layers of onebit.nn",
        )
    if layer._forward_hooks or layer._forward_pre_hooks or "forward" in vars(layer):
        raise OnebitError(f"layer '{name}' has a hook or a forward of its own", hint="remove it, or keep the layer")
    made: BinaryLayer
    if isinstance(layer, nn.Linear):
        made = BinaryLinear(layer.in_features, layer.out_features, layer.bias is not None)
    else:
        try:
            shape: dict[str, Any] = {key: getattr(layer, key) for key in _SHAPE}  # torch types pairs as any tuples
            made = BinaryConv2d(**shape, bias=layer.bias is not None)
        except OnebitError as problem:
            raise OnebitError(f"layer '{name}': {problem.message}", hint="keep it real-valued") from problem
    made.weight, made.bias = cast(nn.Parameter, layer.weight), cast(nn.Parameter | None, layer.bias)
    return made.train(layer.training)
