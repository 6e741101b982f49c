"""Real-valued convolutions, dense layers and what treats each element alike."""

import numpy as np
from numpy.typing import NDArray
from torch import nn

from onebit.deploy.convert import Site, Wire, convert, dense, optional, pair, to_numpy
from onebit.format.codes import Activation
from onebit.format.epilogue import Epilogue
from onebit.format.graph import ConvFloat
from onebit.format.window import Window
from onebit.nn import RPReLU


@convert.register(nn.Identity)
@convert.register(nn.Dropout)
@convert.register(nn.Dropout2d)
def _identity(module: nn.Module, site: Site) -> Wire:
    return site.wire


@convert.register(nn.Flatten)
def _flatten(module: nn.Flatten, site: Site) -> Wire:
    if site.y.shape != (site.x.shape[0], site.x[0].numel()):
        site.refuse("only flattening to (N, -1) is known")
    return Wire(site.wire.value, 2)


@convert.register
def _conv2d(conv: nn.Conv2d, site: Site) -> Wire:
    if conv.padding_mode != "zeros":
        site.refuse(f"padding_mode is '{conv.padding_mode}'")
    weight = to_numpy(conv.weight).transpose(0, 2, 3, 1).copy()
    window = Window(pair(conv.kernel_size), pair(conv.stride), _conv_padding(conv), pair(conv.dilation))
    epilogue = Epilogue(bias=optional(conv.bias))
    return site.add(ConvFloat(site.name, [site.wire.value], site.output(), weight, window, conv.groups, epilogue))


@convert.register
def _linear(linear: nn.Linear, site: Site) -> Wire:
    weight, window = dense(to_numpy(linear.weight), site)
    epilogue = Epilogue(bias=optional(linear.bias))
    return site.add(ConvFloat(site.name, [site.wire.value], site.output(), weight, window, 1, epilogue))


@convert.register(nn.BatchNorm1d)
@convert.register(nn.BatchNorm2d)
def _batch_norm(norm: nn.BatchNorm1d | nn.BatchNorm2d, site: Site) -> Wire:
    if norm.running_mean is None or norm.running_var is None:
        site.refuse("it has no running statistics")
    scale = 1 / np.sqrt(to_numpy(norm.running_var).astype(np.float64) + norm.eps)
    if norm.weight is not None:
        scale = scale * to_numpy(norm.weight)
    bias = -to_numpy(norm.running_mean) * scale
    if norm.bias is not None:
        bias = bias + to_numpy(norm.bias)
    return site.pointwise(norm, Epilogue(scale=_placed(scale, site), bias=_placed(bias, site)))


@convert.register
def _relu(module: nn.ReLU, site: Site) -> Wire:
    return site.pointwise(module, Epilogue(activation=Activation.RELU))


@convert.register
def _hardtanh(module: nn.Hardtanh, site: Site) -> Wire:
    if (module.min_val, module.max_val) != (-1, 1):
        site.refuse(f"its limits are {module.min_val} and {module.max_val}, not -1 and 1")
    return site.pointwise(module, Epilogue(activation=Activation.HARDTANH))


@convert.register
def _prelu(module: nn.PReLU, site: Site) -> Wire:
    slope = np.broadcast_to(to_numpy(module.weight), (site.y.shape[1],)).astype(np.float64)
    return site.pointwise(module, Epilogue(activation=Activation.PRELU, slope=_placed(slope, site)))


@convert.register
def _leaky_relu(module: nn.LeakyReLU, site: Site) -> Wire:
    slope = np.full(site.wire.value.c, module.negative_slope)
    return site.pointwise(module, Epilogue(activation=Activation.PRELU, slope=slope))


@convert.register
def _rprelu(module: RPReLU, site: Site) -> Wire:
    gamma, beta, zeta = (
        _placed(to_numpy(p).astype(np.float64), site) for p in (module.gamma, module.beta, module.zeta)
    )
    return site.pointwise(module, Epilogue(bias=-gamma, activation=Activation.PRELU, slope=beta, post=zeta))


def _placed(values: NDArray[np.float64], site: Site) -> NDArray[np.float64]:
    """One number per channel; after the flattening of an image one per element, [h, w, c]."""
    h, w, c = site.wire.value.sides
    if site.wire.rank == 4 or h * w == 1:
        return values
    placed = values.reshape(c, h, w).transpose(1, 2, 0)
    return placed[0, 0] if (placed == placed[0, 0]).all() else placed


def _conv_padding(conv: nn.Conv2d) -> tuple[int, int, int, int]:
    if conv.padding == "valid":
        return 0, 0, 0, 0
    if conv.padding == "same":
        total = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
        top, left = (t // 2 for t in total)
        return top, left, total[0] - top, total[1] - left
    return *pair(conv.padding), *pair(conv.padding)
