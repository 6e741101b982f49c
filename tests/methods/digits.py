"""What tests of methods share: the digits in a plain loop."""

import torch
from torch import Tensor
from torch.nn import functional

from onebit import data, models
from onebit.methods import Method


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training images and labels, test images and labels; images normalised."""
    source = data.create("digits")
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (source.mean, source.std))
    (train, labels), (test, test_labels) = source.train(), source.test()
    return (train / 255 - mean) / std, labels, (test / 255 - mean) / std, test_labels


def accuracy_after(method: Method, seed: int, *, full_precision: bool = False, steps: int = 200) -> float:
    """Test accuracy on the digits of a small network that ``method`` trains."""
    train, labels, test, test_labels = digits()
    torch.manual_seed(seed)
    net = models.create("small", width=16, full_precision=full_precision)
    method.attach(net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=1e-5)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for t in range(steps):
        method.step(t, steps)
        batch = torch.randint(len(train), (32,))
        loss = method.loss(functional.cross_entropy(net(train[batch]), labels[batch]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
    with torch.no_grad():
        return float((net.eval()(test).argmax(1) == test_labels).float().mean())
