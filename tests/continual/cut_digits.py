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
from onebit.nn import BinaryConv2d, LatentSign, RPReLU, RSign
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


class CutNet(nn.Module):
    """All that a tail can hold: both estimators, learned thresholds, every activation, BatchNorm behind the mean."""

    def __init__(self, num_classes: int, width: int = WIDTH) -> None:
        super().__init__()
        self.input_shape = (1, 8, 8)
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width))
        self.cut = LatentSign(width)
        self.tail = nn.Sequential(
            Block(width, RSign(width), RPReLU(width)),
            Block(width, Sign(), nn.Sequential()),
            Block(width, RSign(width), nn.PReLU(width), kernel_size=1),
        )
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
def cut_digits(old: int, seed: int = 0) -> CutDigits:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    bunch = load_digits()
    pixels = torch.tensor(bunch.images, dtype=torch.float32)[:, None] / 16
    images, labels = (pixels - pixels.mean()) / pixels.std(), torch.tensor(bunch.target)
    train, test = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0)).split([1437, 360])
    net = CutNet(old)
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
