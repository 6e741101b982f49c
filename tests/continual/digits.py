"""A small network that saw the digits 0 to 5, and its frozen features of all ten."""

from dataclasses import dataclass
from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from onebit import models

OLD = 6


@dataclass(frozen=True)
class Digits:
    net: nn.Module
    images: Tensor  # float32 (1797, 1, 8, 8), normalised
    labels: Tensor
    features: Tensor
    train: Tensor  # indices
    test: Tensor
    mean: float
    std: float

    def indices(self, part: Tensor, low: int, high: int) -> Tensor:
        """Those of the digits low to high - 1."""
        return part[(self.labels[part] >= low) & (self.labels[part] < high)]

    @property
    def samples(self) -> list[int]:
        return torch.bincount(self.labels[self.train])[:OLD].tolist()


@cache
def digits(seed: int = 0) -> Digits:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    bunch = load_digits()
    pixels = torch.tensor(bunch.images, dtype=torch.float32)[:, None] / 16
    mean, std = float(pixels.mean()), float(pixels.std())
    images, labels = (pixels - mean) / std, torch.tensor(bunch.target)
    train, test = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0)).split([1437, 360])
    net = models.create("small", num_classes=OLD)
    optimizer = torch.optim.Adam(net.parameters(), 2.5e-3)
    old = train[labels[train] < OLD]
    for _ in range(10):
        for batch in old[torch.randperm(len(old))].split(50):
            loss = functional.cross_entropy(net(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    net.eval()
    kept: list[Tensor] = []
    hook = net.get_submodule("head").register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    with torch.no_grad():
        net(images)
    hook.remove()
    torch.set_num_threads(threads)
    return Digits(net, images, labels, kept[0], train, test, mean, std)
