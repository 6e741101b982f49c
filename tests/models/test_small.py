"""The small network learns: handwritten digits, 1797 images of 8×8, a stratified fifth held out."""

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn import functional

from onebit import models

pytestmark = pytest.mark.usefixtures("one_thread")

EPOCHS, BATCH = 15, 64


def digits():
    source = load_digits()
    images = torch.tensor(source.images, dtype=torch.float32)[:, None] / 16
    split = train_test_split(images, torch.tensor(source.target), test_size=0.2, stratify=source.target, random_state=0)
    x, x_test, y, y_test = split
    mean, std = x.mean(), x.std()
    return (x - mean) / std, y, (x_test - mean) / std, y_test


@pytest.mark.slow
@pytest.mark.learning
def test_learns_the_digits(seed, record_property):
    x, y, x_test, y_test = digits()
    torch.manual_seed(seed)
    net = models.create("small", num_classes=10)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * -(-len(x) // BATCH))
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
            schedule.step()
    net.eval()
    with torch.no_grad():
        accuracy = (net(x_test).argmax(1) == y_test).float().mean().item()
    record_property("top1", accuracy)
    assert accuracy >= 0.95
