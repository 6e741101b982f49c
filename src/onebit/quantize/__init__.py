"""Number formats and gradient estimators: from a tensor to a tensor of the same shape."""

from onebit import _needs_torch  # noqa: F401  # its import is the check
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
from onebit.quantize.closed_form import Estimator, OutputForm, SampleScale, SignForm, closed_form, output_form
from onebit.quantize.gradient import GradientQuantizer, quantize_gradient, stochastic_quantize
from onebit.quantize.uniform import UniformQuantizer, UniformWeightQuantizer

__all__ = [
    "ApproxSign",
    "BinaryQuantizer",
    "Estimator",
    "GradientQuantizer",
    "IdentitySign",
    "KBitQuantizer",
    "MagnitudeAwareSign",
    "OutputForm",
    "SampleScale",
    "Sign",
    "SignForm",
    "SwishSign",
    "UniformQuantizer",
    "UniformWeightQuantizer",
    "binarize",
    "closed_form",
    "output_form",
    "quantize_gradient",
    "sign",
    "stochastic_quantize",
]
