"""The base of the methods for k-bit networks: the quantisers of a real-valued network's layers."""

from torch import nn

from onebit.errors import OnebitError
from onebit.nn import KBitConv2d, KBitLinear, quantized_layers
from onebit.quantize import GradientQuantizer, UniformQuantizer, UniformWeightQuantizer


class KBitLayers:
    """The convolutions and dense layers of a network, quantised to a width that may change at any time.

    Operands as in the released codes of CPT and FracTrain: activations to b bits over the range of the batch, in
    evaluation over the running means (momentum 0.9, started at 0) of minimum and range; weights to b bits over the
    range of each output channel; the gradient of the layer's output to g bits over its own range, stochastically.

    Args:
        owner: the method's name, for errors.
        net: changed in place: every ``nn.Conv2d`` and ``nn.Linear`` but the one in the attribute ``head`` becomes a
            :class:`~onebit.nn.KBitConv2d` or :class:`~onebit.nn.KBitLinear` with the same parameters.
        bits: b at first.
        gradient_bits: g at first.

    Raises:
        OnebitError: a network with quantised layers, or without convolutions and dense layers.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
        >>> layers = KBitLayers("CPT", net, bits=3, gradient_bits=8)
        >>> layers.set_bits(4, 8)
        >>> net[0].input_quantizer.bits, net[0].weight_quantizer.bits, net[0].output_transform.bits
        (4, 4, 8)
    """

    def __init__(self, owner: str, net: nn.Module, bits: int, gradient_bits: int) -> None:
        if next(quantized_layers(net), None) is not None:
            raise OnebitError(f"{owner}: the network has quantised layers", hint="build it with full_precision: true")
        self._operands: list[UniformQuantizer | UniformWeightQuantizer] = []
        self._gradients: list[GradientQuantizer] = []
        made: dict[nn.Module, nn.Module] = {}  # a layer may stand in several places
        for parent in list(net.modules()):
            for name, layer in list(parent._modules.items()):
                if not isinstance(layer, nn.Conv2d | nn.Linear) or type(layer) not in (nn.Conv2d, nn.Linear):
                    continue
                if layer is not getattr(net, "head", None):
                    if layer not in made:
                        made[layer] = self._quantized(layer, bits, gradient_bits)
                    setattr(parent, name, made[layer])
        if not made:
            raise OnebitError(f"{owner}: the network has no convolution or dense layer", hint="give another network")

    def set_bits(self, bits: int, gradient_bits: int) -> None:
        """Sets b and g in all layers."""
        for quantizer in self._operands:
            quantizer.bits = bits
        for gradient_quantizer in self._gradients:
            gradient_quantizer.bits = gradient_bits

    def _quantized(self, layer: nn.Conv2d | nn.Linear, bits: int, gradient_bits: int) -> nn.Module:
        activations = UniformQuantizer(bits).to(layer.weight)
        weights, gradients = UniformWeightQuantizer(bits), GradientQuantizer(gradient_bits)
        self._operands += [activations, weights]
        self._gradients.append(gradients)
        if isinstance(layer, nn.Conv2d):
            return KBitConv2d(layer, activations, weights, gradients)
        return KBitLinear(layer, activations, weights, gradients)
