"""Writes what cross.sh compares between processors: a network trained for a moment on the digits, packed with its
real-valued layers in float32 (``digits.obn``) and in bytes (``digits_int8.obn``), and test images (``digits.f32``)."""

import sys
from pathlib import Path

import torch
from torch import nn

from onebit import data, deploy, models


def main(folder: Path) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = models.create("small", num_classes=10)
    digits = data.create("digits")
    images, labels = digits.train()

    def normalised(pixels: torch.Tensor) -> torch.Tensor:
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (digits.mean, digits.std))
        return (pixels / 255 - mean) / std

    optimizer = torch.optim.AdamW(net.parameters(), 1e-2)
    for batch in torch.randperm(len(images)).split(64):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(normalised(images[batch])), labels[batch]).backward()
        optimizer.step()
    examples = normalised(digits.test()[0][:100])
    for name, numbers in (("digits", "float32"), ("digits_int8", "int8")):
        report = deploy.export(
            net.eval(), folder / f"{name}.obn", examples, real_valued=numbers, int8_tolerance=0.1, force=True
        )
        print(name, *sorted({layer.kind for layer in report.layers}))
    # Last, for its presence says that all is there. Channels innermost, as the engine reads.
    (folder / "digits.f32").write_bytes(examples.permute(0, 2, 3, 1).contiguous().numpy().tobytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
