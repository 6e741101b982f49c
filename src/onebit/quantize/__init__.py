"""Number formats and gradient estimators: from a tensor to a tensor of the same shape."""

from onebit.quantize.binary import (
    ApproxSign,
    BinaryQuantizer,
    IdentitySign,
    MagnitudeAwareSign,
    Sign,
    SwishSign,
    binarize,
    sign,
)
from onebit.quantize.bits import KBitQuantizer
from onebit.quantize.gradient import GradientQuantizer, quantize_gradient, stochastic_quantize
from onebit.quantize.uniform import UniformQuantizer, UniformWeightQuantizer

__all__ = [
    "ApproxSign",
    "BinaryQuantizer",
    "GradientQuantizer",
    "IdentitySign",
    "KBitQuantizer",
    "MagnitudeAwareSign",
    "Sign",
    "SwishSign",
    "UniformQuantizer",
    "UniformWeightQuantizer",
    "binarize",
    "quantize_gradient",
    "sign",
    "stochastic_quantize",
]
