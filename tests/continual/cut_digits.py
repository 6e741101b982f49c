"""A network with a teachable tail that saw the first digits, as a file, and the latents of all ten."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

import onebit
from onebit import deploy
from onebit.nn import BinaryConv2d, LatentSign, PadChannels, RPReLU, RSign
from onebit.quantize import MagnitudeAwareSign, Sign

WIDTH = 32


class Block(nn.Module):
    """A binary convolution, BatchNorm, the shortcut, and an activation."""

    def __init__(self, channels: int, quantizer: nn.Module, activation: nn.Module, kernel_size: int = 3) -> None:
        super().__init__()
        self.conv = BinaryConv2d(
            channels,
            channels,
            kernel_size,
            padding=kernel_size // 2,
            input_quantizer=quantizer,
            weight_quantizer=MagnitudeAwareSign(),
        )
        self.norm = nn.BatchNorm2d(channels)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(self.conv(x)) + x)


class Down(nn.Module):
    """A binary convolution that halves the sides, beside what its shortcut does."""

    def __init__(self, in_channels: int, channels: int, shortcut: nn.Module) -> None:
        super().__init__()
        self.conv = BinaryConv2d(in_channels, channels, 3, stride=2, padding=1, weight_quantizer=MagnitudeAwareSign())
        self.norm = nn.BatchNorm2d(channels)
        self.shortcut = shortcut
        self.activation = RPReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(self.conv(x)) + self.shortcut(x))


class Real(nn.Module):
    """A real-valued convolution with a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.activation = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(self.conv(x)) + x)


def straight(width: int) -> list[nn.Module]:
    """Blocks of one size: both estimators, learned thresholds, every activation."""
    return [
        Block(width, RSign(width), RPReLU(width)),
        Block(width, Sign(), nn.Sequential()),
        Block(width, RSign(width), nn.PReLU(width), kernel_size=1),
    ]


def narrowing(width: int) -> list[nn.Module]:
    """Blocks that halve the sides: strides, real-valued convolutions of 1×1 and 3×3, pools, channels of zeros."""
    mean = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(width // 2, width, 1, bias=False), nn.BatchNorm2d(width))
    largest = nn.Sequential(nn.MaxPool2d(3, 2, 1), PadChannels(8, 8))
    wide = nn.Conv2d(width + 16, width, 3, stride=2, padding=1, bias=False)
    return [Down(width // 2, width, mean), Down(width, width + 16, largest), Real(width + 16), wide]


class CutNet(nn.Module):
    """All that a tail can hold, BatchNorm behind the mean too; ``down``: the tail begins with larger sides."""

    def __init__(self, num_classes: int, down: bool, width: int = WIDTH) -> None:
        super().__init__()
        self.input_shape = (1, 8, 8)
        first, stride = (width // 2, 1) if down else (width, 2)
        self.stem = nn.Sequential(nn.Conv2d(1, first, 3, stride, 1, bias=False), nn.BatchNorm2d(first))
        self.cut = LatentSign(first)
        self.tail = nn.Sequential(*(narrowing if down else straight)(width))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.norm = nn.BatchNorm1d(width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.pool(self.tail(self.cut(self.stem(x))))))


@dataclass(frozen=True)
class CutDigits:
    net: CutNet
    old: int  # it saw the digits below this one
    images: Tensor  # float32 (1797, 1, 8, 8), normalised
    labels: Tensor
    train: Tensor  # indices
    test: Tensor

    def indices(self, part: Tensor, low: int, high: int) -> Tensor:
        """Those of the digits low to high - 1."""
        return part[(self.labels[part] >= low) & (self.labels[part] < high)]

    def export(self, path: Path, replay: int) -> None:
        old = self.indices(self.train, 0, self.old)
        kept = old[:replay]
        deploy.export(
            self.net,
            path,
            self.images[old],
            classes=[str(digit) for digit in range(self.old)],
            samples=torch.bincount(self.labels[old]).tolist(),
            teachable=deploy.Teachable(self.images[kept] if replay else None, self.labels[kept].tolist()),
        )

    def latents(self, path: Path, indices: Tensor) -> NDArray[np.float32]:
        """(n, h, w, c), as the engine computes them."""
        return onebit.load(path)(self.images[indices].numpy(), "latents").transpose(0, 2, 3, 1)


@cache
def cut_digits(old: int, seed: int = 0, *, down: bool = False) -> CutDigits:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    bunch = load_digits()
    pixels = torch.tensor(bunch.images, dtype=torch.float32)[:, None] / 16
    images, labels = (pixels - pixels.mean()) / pixels.std(), torch.tensor(bunch.target)
    train, test = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0)).split([1437, 360])
    net = CutNet(old, down)
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    seen = train[labels[train] < old]
    for _ in range(15):
        for batch in seen[torch.randperm(len(seen))].split(50):
            loss = functional.cross_entropy(net(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.set_num_threads(threads)
    return CutDigits(net.eval(), old, images, labels, train, test)
