"""Binary layers, and the quantisers in front of them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from onebit.deploy.convert import Site, Wire, convert, dense, optional, to_numpy
from onebit.deploy.elementwise import NotPerChannel, PerChannel, Step
from onebit.deploy.intervals import Opaque
from onebit.deploy.threshold import float_intervals
from onebit.format.codes import Estimator
from onebit.format.epilogue import Epilogue
from onebit.format.graph import Binarize, ConvBinary, ConvFloat, Value
from onebit.format.window import Window
from onebit.nn import BinaryConv2d, BinaryLayer, BinaryLinear, LatentSign
from onebit.quantize import ApproxSign, BinaryQuantizer, sign


@convert.register(BinaryConv2d)
@convert.register(BinaryLinear)
def _binary(layer: BinaryConv2d | BinaryLinear, site: Site) -> Wire:
    weight, latent = to_numpy(layer.quantized_weight()), to_numpy(layer.weight)
    if isinstance(layer, BinaryConv2d):
        weight, latent = (w.transpose(0, 2, 3, 1).copy() for w in (weight, latent))
        groups, padding_value = layer.groups, int(layer.padding_value)
        top, left, bottom, right = layer.padding
        window = Window(layer.kernel_size, layer.stride, (top, left, bottom, right), layer.dilation)
    else:
        (weight, window), (latent, _), groups, padding_value = dense(weight, site), dense(latent, site), 1, 0

    if isinstance(layer.input_quantizer, nn.Identity) and not bool((site.x.abs() == 1).all()):
        return _real_input(layer, site, weight, window, groups)
    bits = _binarized(layer, site)
    alpha = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    if not np.array_equal(np.abs(weight), np.broadcast_to(alpha[:, None, None, None], weight.shape)):
        site.refuse("its weights are not ±α with one α per output channel")
    signs = np.where(weight < 0, -1, 1).astype(np.int8)
    output = site.output()
    function = PerChannel((_scaled(alpha, layer), Step(layer.output_transform, site.y.dim())))
    node = ConvBinary(site.name, [bits], output, signs, window, groups, padding_value=padding_value, function=function)
    node.latent = latent
    quadratic = isinstance(layer.input_quantizer, ApproxSign)
    node.estimator = Estimator.QUADRATIC if quadratic else Estimator.CLIPPED
    return site.add(node)


def _scaled(alpha: NDArray[np.float32], layer: BinaryLayer) -> Step:
    scale, bias = torch.from_numpy(alpha), layer.bias
    return Step(lambda x: x * scale if bias is None else x * scale + bias, 2)


def _real_input(layer: BinaryLayer, site: Site, weight: NDArray[np.float32], window: Window, groups: int) -> Wire:
    """A binary layer whose input is not quantised computes in floats."""
    if getattr(layer, "padding_value", 0) != 0:
        site.refuse("its input is real-valued and its padding is not zero")
    if not isinstance(layer.output_transform, nn.Identity):
        site.refuse("its input is real-valued and it has an output transform")
    epilogue = Epilogue(bias=optional(layer.bias))
    return site.add(ConvFloat(site.name, [site.wire.value], site.output(), weight, window, groups, epilogue))


def _binarized(layer: BinaryLayer, site: Site) -> Value:
    """The layer's input after its quantiser, which is tried on the example: a threshold must give the same."""
    quantizer, value = layer.input_quantizer, site.wire.value
    function = site.function(quantizer)
    try:
        bounds = torch.from_numpy(float_intervals(function, value.c))
    except NotPerChannel:
        pass  # together with what lies before it, it may be one
    else:
        lower, upper = (_like(bound, site) for bound in bounds.T)
        if not torch.equal(quantizer(site.x.clone()) > 0, (site.x >= lower) & (site.x <= upper)):
            site.refuse(
                f"its input quantizer ({type(quantizer).__name__}) is not one threshold per channel: "
                "on the example it gives other signs than on single values"
            )
    output = Value(*value.sides, bits=True)
    empty = np.empty((0, 2), np.float32)
    site.graph.nodes.append(Binarize(f"{site.name}.input_quantizer", [value], output, empty, function=function))
    return output


@convert.register
def _latent_sign(cut: LatentSign, site: Site) -> Wire:
    """A depthwise 1 × 1 convolution of the signs, with weights of +1."""
    value, scale = site.wire.value, cut.scale.detach()
    if site.wire.rank != 4:
        site.refuse("its input is not an image")
    bits = Value(*value.sides, bits=True)
    empty = np.empty((0, 2), np.float32)
    signs = PerChannel((Step(sign, 4),))
    site.graph.nodes.append(Binarize(f"{site.name}.sign", [value], bits, empty, function=signs))
    ones = np.ones((value.c, 1, 1, 1), np.int8)
    function = PerChannel((Step(lambda x: x * scale, 2),))
    wire = site.add(ConvBinary(site.name, [bits], site.output(), ones, Window((1, 1)), value.c, function=function))
    site.graph.outputs["latents"] = wire.value
    return wire


@convert.register(BinaryQuantizer)
def _quantizer(module: BinaryQuantizer, site: Site) -> Wire:
    return site.pointwise(module, Epilogue(), Opaque)


def _like(values: Tensor, site: Site) -> Tensor:
    """One number per channel, to compare with the input."""
    if site.wire.rank == 4:
        return values[:, None, None]
    return values.repeat_interleave(site.x.shape[1] // len(values))
