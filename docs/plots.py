"""Draws the quantisers and activations for the documentation by evaluating them: `python docs/plots.py`.

Each picture shows the forward curve and the gradient that autograd returns for an incoming gradient of one; that of the
gradient quantiser shows its backward pass.
"""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib import pyplot as plt
from torch import Tensor, nn

from onebit import nn as binary
from onebit import quantize
from onebit.methods.irnet import ErrorDecaySign
from onebit.quantize import uniform

IMAGES = Path(__file__).parent / "images"
POINTS = 151
Curve = Callable[[Tensor], Tensor]


def channel(module: nn.Module, **values: float) -> Curve:
    """A layer with one channel and the given parameters, as a function of a vector."""
    with torch.no_grad():
        for name, value in values.items():
            getattr(module, name).fill_(value)
    return lambda x: module(x[:, None])[:, 0]


def channel_image(module: nn.Module, **values: float) -> Curve:
    """As :func:`channel`, of a layer that takes images."""
    curve = channel(module, **values)
    return lambda x: curve(x[:, None, None])[:, 0, 0]


CURVES: dict[str, tuple[str, Curve]] = {
    "sign": ("Sign", quantize.Sign()),
    "approx_sign": ("ApproxSign", quantize.ApproxSign()),
    "identity_sign": ("IdentitySign", quantize.IdentitySign()),
    "swish_sign": ("SwishSign, β = 5", quantize.SwishSign()),
    "magnitude_aware_sign": (
        "MagnitudeAwareSign, of weights from −1.5 to 1.5",
        lambda w: quantize.MagnitudeAwareSign()(w[None])[0],
    ),
    "error_decay_sign": ("ErrorDecaySign, T = 2", ErrorDecaySign(2.0)),
    "uniform": (
        "Uniform, 3 bits, range −1 to 1",
        lambda x: uniform.quantize(x, 3, torch.tensor(-1.0), torch.tensor(2.0)),
    ),
    "rsign": ("RSign, α = 0.5", channel(binary.RSign(1), alpha=0.5)),
    "latent_sign": ("LatentSign, s = 0.8", channel_image(binary.LatentSign(1).eval(), scale=0.8)),
    "rprelu": ("RPReLU, γ = −0.5, β = 0.25, ζ = 0.25", channel(binary.RPReLU(1), gamma=-0.5, zeta=0.25)),
}


def draw(name: str, title: str, curves: list[tuple[str, Tensor, Tensor]]) -> None:
    figure, panels = plt.subplots(1, 2, figsize=(6, 2.2), layout="constrained")
    figure.suptitle(title, fontsize="medium")
    for panel, (label, x, y) in zip(panels, curves, strict=True):
        panel.axhline(0, color="gray", linewidth=0.5)
        panel.plot(x, y)
        panel.set_title(label, fontsize="small")
        panel.grid(alpha=0.3)
    figure.savefig(IMAGES / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "onebit", "font.size": 8})
    IMAGES.mkdir(exist_ok=True)
    for name, (title, curve) in CURVES.items():
        x = torch.linspace(-1.5, 1.5, POINTS, requires_grad=True)
        y = curve(x)
        y.sum().backward()
        assert x.grad is not None
        draw(name, title, [("forward", x.detach(), y.detach()), ("gradient", x.detach(), x.grad)])
    torch.manual_seed(0)
    x = torch.linspace(-1.5, 1.5, POINTS, requires_grad=True)
    y = quantize.quantize_gradient(x, 2)
    incoming = torch.linspace(-1, 1, POINTS)
    y.backward(incoming)
    assert x.grad is not None
    backward = ("gradient: ĝ against g", incoming, x.grad)
    draw("gradient", "Gradient quantiser, 2 bits", [("forward", x.detach(), y.detach()), backward])


if __name__ == "__main__":
    main()
