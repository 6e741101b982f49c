"""What the tests of this folder share."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import onebit
from onebit import _engine, deploy
from onebit.format.graph import Graph
from onebit.format.writer import write
from onebit.nn import RPReLU, RSign, binary_layers

ISAS = _engine.isas()


def randomize(net: nn.Module, seed: int) -> nn.Module:
    """Statistics and parameters that a trained network could have, some scales negative; in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)

    def noise(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator)

    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.copy_(noise(module.running_mean) / 2)
                module.running_var.copy_(noise(module.running_var).abs() + 0.3)
                module.weight.copy_(noise(module.weight))
                module.bias.copy_(noise(module.bias) / 2)
            elif isinstance(module, RPReLU | RSign | nn.PReLU):
                for name, parameter in module.named_parameters(recurse=False):
                    parameter.copy_(noise(parameter) / 4)
                    if name in ("weight", "beta"):  # slopes
                        parameter.abs_()
        for _, layer in binary_layers(net):
            if layer.bias is not None:
                layer.bias.copy_(noise(layer.bias))
    return net.eval()


def packed(net: nn.Module, folder: Path, x: Tensor, isa: str = "", output: str = "logits") -> NDArray[np.float32]:
    """What the exported network answers."""
    path = folder / "m.obn"
    deploy.export(net, path, x, force=True)
    return onebit.load(path, isa=isa)(x.numpy(), output)


def outputs(graph: Graph, folder: Path, x: Tensor, output: str, isa: str) -> NDArray[np.float32]:
    """What the engine makes of a graph; (N, C, H, W)."""
    path = folder / "graph.obn"
    write(path, graph, {}, force=True)
    y = onebit.load(path, isa=isa)(x.numpy(), output)
    return y if y.ndim == 4 else y[:, :, None, None]


def assert_same_answer(net: nn.Module, folder: Path, x: Tensor, isas: list[str] = ISAS) -> None:
    """The packed network agrees with PyTorch within 1e-3, and with itself to the bit on every instruction set."""
    with torch.no_grad():
        expected = net(x).numpy()
    path = folder / "m.obn"
    deploy.export(net, path, x, force=True)
    first = onebit.load(path, isa=isas[0])(x.numpy())
    assert np.abs(first - expected).max() <= 1e-3 * np.abs(expected).max()
    assert (first.argmax(axis=1) == expected.argmax(axis=1)).all()
    for isa in isas[1:]:
        assert np.array_equal(onebit.load(path, isa=isa)(x.numpy()), first), isa
