"""Streams of CIFAR with the binary backbones that learners start from: what benchmarks/split_cifar.py teaches.

A backbone is trained with its convolutions in bfloat16, once, and kept in a file.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional

from onebit import continual, data, models
from onebit.continual import Split
from onebit.data.augment import crop, flip
from onebit.files import atomic_file

BACKBONES: dict[str, tuple[dict[str, Any], str, str]] = {  # options, the module behind which the cut is, and the next
    "small": ({"in_shape": [3, 32, 32], "width": 32}, "blocks.5", "blocks.6"),
    "birealnet18": ({"input_size": 32}, "stages.3.0", "stages.3.1"),
}
BACKBONE_EPOCHS, BACKBONE_BATCH, BACKBONE_RATE = 15, 64, 2.5e-3
CHUNK = 256
Labelled = tuple[Tensor, Tensor]  # images normalised, float32 (N, 3, 32, 32); labels from 0, int64 (N,)


@dataclass(frozen=True)
class Case:
    """A stream of one seed and the backbones for it.

    Attributes:
        name: `nc`, Split CIFAR-10 in 5 experiences of 2 classes; `ni`, CIFAR-10 in 10 experiences of all classes;
            `cifar100`, 20 classes of CIFAR-100 in 10 experiences.
        images, tests: of a class, at most, in the training and in the test part.
        folder: of the backbones' files.
    """

    name: str
    seed: int
    images: int
    tests: int
    backbone: str
    folder: Path

    @cached_property
    def parts(self) -> tuple[Labelled, Labelled]:
        """Training and test part of the stream."""
        return _normalised("cifar100_subset" if self.name == "cifar100" else "cifar10", self.images, self.tests)

    @cached_property
    def stream(self) -> continual.Stream:
        labels = self.parts[0][1]
        if self.name == "ni":
            return continual.new_instances(labels, 10, self.seed, data="cifar10")
        if self.name == "nc":
            return continual.new_classes(labels, [2] * 5, data="cifar10")
        return continual.new_classes(labels, [2] * 10, data="cifar100_subset")

    @property
    def knows_first(self) -> bool:
        """The backbone was trained on experience 0, so its head knows the classes of that."""
        return self.name != "cifar100"

    @cached_property
    def seen(self) -> Labelled:
        """What the backbone is trained on: experience 0, or CIFAR-10 where the stream is of CIFAR-100."""
        if not self.knows_first:
            return _normalised("cifar10", self.images, 0)[0]
        (images, labels), chosen = self.parts[0], self.stream[0].indices
        return images[chosen], labels[chosen]

    @property
    def classes(self) -> int:
        return int(self.parts[0][1].max()) + 1

    @property
    def images_of_a_class(self) -> dict[str, int]:
        """The most that a class has of them."""
        lots = {"train": self.parts[0], "test": self.parts[1], "backbone": self.seen}
        return {name: int(labels.bincount().max()) for name, (_, labels) in lots.items()}

    @property
    def size(self) -> int:
        """Images of an experience."""
        return len(self.stream[0].indices)

    @property
    def cut(self) -> str:
        return BACKBONES[self.backbone][2]

    def net(self, latent_sign: bool) -> nn.Module:
        """The binary network after its training, with :class:`onebit.nn.LatentSign` at the cut or without."""
        options, behind, _ = BACKBONES[self.backbone]
        classes = int(self.seen[1].max()) + 1
        torch.manual_seed(self.seed)
        net = models.create(self.backbone, num_classes=classes, latent_sign=behind if latent_sign else None, **options)
        kind = "one_bit" if latent_sign else "real"
        path = self.folder / f"{self.backbone}-{self.name}-{kind}-{self.images}-{self.seed}.pt"
        if path.exists():
            net.load_state_dict(torch.load(path, weights_only=True))
        else:
            _train(net, *self.seen, self.seed, path.stem)
            with atomic_file(path) as temporary:
                torch.save(net.state_dict(), temporary)
        return net.eval()

    def split(self, at: str, latent_sign: bool = False) -> tuple[Split, Tensor]:
        """The backbone cut in two, and the rows of the head for all classes of the stream."""
        parts = continual.split(self.net(latent_sign), at)
        rows = torch.zeros(self.classes, parts.weight.shape[1])
        if self.knows_first:
            known = list(self.stream[0].classes)
            rows[known] = parts.weight[known]
        return parts, rows

    @cached_property
    def latents(self) -> tuple[Labelled, Labelled]:
        """At the cut, of the training and the test part."""
        return self._through(self.split(self.cut)[0].front, self.parts)

    @cached_property
    def signed_latents(self) -> tuple[Labelled, Labelled]:
        """The same of the backbone with ``LatentSign``."""
        return self._through(self.split(self.cut, latent_sign=True)[0].front, self.parts)

    @cached_property
    def features(self) -> tuple[Labelled, Labelled]:
        """What enters the head."""
        return self._through(self.split(self.cut)[0].tail, self.latents)

    @torch.no_grad()
    def _through(self, part: nn.Module, lots: tuple[Labelled, Labelled]) -> tuple[Labelled, Labelled]:
        train, test = ((torch.cat([part(some) for some in x.split(CHUNK)]), labels) for x, labels in lots)
        return train, test


def _normalised(name: str, images: int, tests: int) -> tuple[Labelled, Labelled]:
    """Training and test part, the first so many of each class; by the mean and deviation of CIFAR-10."""
    source, pixels = data.create(name), data.create("cifar10")
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (pixels.mean, pixels.std))
    parts = []
    for (x, labels), count in ((source.train(), images), (source.test(), tests)):
        kept = torch.cat([(labels == c).nonzero()[:count, 0] for c in range(len(source.classes))]).sort().values
        parts.append(((x[kept] / 255 - mean) / std, labels[kept]))
    return parts[0], parts[1]


def _train(net: nn.Module, images: Tensor, labels: Tensor, seed: int, name: str) -> None:
    optimizer = torch.optim.Adam(net.parameters(), BACKBONE_RATE)
    generator = torch.Generator().manual_seed(seed)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, BACKBONE_EPOCHS)
    for _ in track(range(BACKBONE_EPOCHS), description=f"training {name}", transient=True):
        for chosen in torch.randperm(len(labels), generator=generator).split(BACKBONE_BATCH):
            if len(chosen) == 1:  # BatchNorm cannot measure it
                continue
            x = flip(crop(images[chosen], generator), generator)
            with torch.autocast("cpu", torch.bfloat16):
                loss = functional.cross_entropy(net(x).float(), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
