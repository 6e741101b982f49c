"""The processes of a distributed run change their stage together, though each sees losses of its own."""

from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from torch import distributed, nn

from onebit.methods import PFQ

STALLED, FALLING = [1.0] * 8, [2.0 * 0.8**t for t in range(8)]
LOSSES = [STALLED, FALLING]


def stages(losses: list[float]) -> list[int]:
    net, method = nn.Sequential(nn.Linear(2, 2)), PFQ(interval=1, threshold=0.3)
    method.attach(net)
    found = []
    for t, loss in enumerate(losses):
        method.step(t, len(losses))
        method.loss(torch.tensor(loss))
        found.append(method.stage)
    return found


def process(rank: int, store: str, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    torch.save(stages(LOSSES[rank]), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_both_go_by_the_mean_of_their_losses(tmp_path: Path) -> None:
    mp.spawn(process, (str(tmp_path / "store"), str(tmp_path)), nprocs=2)
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    mean = stages([(a + b) / 2 for a, b in zip(*LOSSES, strict=True)])
    assert one == other == mean
    assert stages(STALLED) != stages(FALLING)
