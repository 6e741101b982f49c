"""CycleBNN on the real digits, in a plain PyTorch loop."""

from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional

from onebit import data, models
from onebit.methods import CycleBNN

STEPS = 200


@pytest.fixture
def one_thread() -> Iterator[None]:
    """A small network gains nothing from threads, and loses much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("scaling", ["released", "consistent"])
def test_learns_the_digits(scaling: str) -> None:
    digits = data.create("digits")
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (digits.mean, digits.std))
    (train, labels), (test, answers) = digits.train(), digits.test()
    train, test = ((images / 255 - mean) / std for images in (train, test))
    torch.manual_seed(0)
    net, method = models.create("small", width=16), CycleBNN(scaling=scaling)
    method.attach(net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=1e-5)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for t in range(STEPS):
        method.step(t, STEPS)
        batch = torch.randint(len(train), (32,))
        loss = method.loss(functional.cross_entropy(net(train[batch]), labels[batch]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
    with torch.no_grad():
        accuracy = (net.eval()(test).argmax(1) == answers).float().mean()
    assert accuracy > 0.9
