"""PFQ's rule for the next stage."""

import io
from collections.abc import Sequence

import pytest
import torch
from torch import nn

from onebit.errors import OnebitError
from onebit.methods import PFQ

BITS, GRADIENT_BITS = (3, 4, 6, 8), (6, 6, 8, 8)


def transcribed(losses: Sequence[float], threshold: float, decay: float, stages: int) -> list[int]:
    """The stage of each interval, by the released code's rule."""
    stage, recent, found = 0, [], []
    for number, loss in enumerate(losses, 1):
        found.append(stage)
        scale = sum(losses[: min(number, 10)]) / min(number, 10)
        recent = [*recent[-4:], loss]
        differences = [abs(before - recent[-1]) / scale for before in recent[:-1]]
        if stage < stages - 1 and len(recent) == 5 and max(differences) <= threshold:
            stage, threshold, recent = stage + 1, threshold * decay, []
    return found


def stages_of(method: PFQ, net: nn.Module, losses: Sequence[float], start: int = 0) -> list[int]:
    found = []
    for t, loss in enumerate(losses, start):
        method.step(t, 1000)
        method.loss(torch.tensor(loss))
        found.append(BITS.index(net[0].weight_quantizer.bits))
        assert net[0].output_transform.bits == GRADIENT_BITS[found[-1]]
    return found


def falling(steps: int) -> list[float]:
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(steps, generator=generator, dtype=torch.float64)
    return [2.0 * 0.8**t + 0.5 + 0.02 * 0.93**t * float(noise[t]) for t in range(steps)]


def test_stages_are_those_of_the_released_rule() -> None:
    losses = falling(80)
    net, method = nn.Sequential(nn.Linear(3, 2)), PFQ(interval=1, threshold=0.05, decay=0.3)
    method.attach(net)
    expected = transcribed(losses, 0.05, 0.3, stages=4)
    assert set(expected) == {0, 1, 2, 3}
    assert stages_of(method, net, losses) == expected


def test_an_interval_is_a_mean() -> None:
    losses = falling(80)
    spread = [loss + side for loss in losses for side in (-0.3, 0.1, 0.2)]
    net, method = nn.Sequential(nn.Linear(3, 2)), PFQ(interval=3, threshold=0.05, decay=0.3)
    method.attach(net)
    assert stages_of(method, net, spread)[::3] == transcribed(losses, 0.05, 0.3, stages=4)


def test_a_loss_that_falls_keeps_the_first_stage() -> None:
    net, method = nn.Sequential(nn.Linear(3, 2)), PFQ(interval=1)
    method.attach(net)
    assert set(stages_of(method, net, [2.0 * 0.9**t for t in range(20)])) == {0}


def test_a_saved_state_goes_on_the_same() -> None:
    losses = falling(80)
    net, method = nn.Sequential(nn.Linear(3, 2)), PFQ(interval=3)
    method.attach(net)
    whole = stages_of(method, net, losses)
    for stop in (1, 10, 31):
        net, method = nn.Sequential(nn.Linear(3, 2)), PFQ(interval=3)
        method.attach(net)
        before = stages_of(method, net, losses[:stop])
        file = io.BytesIO()
        torch.save(method.state_dict(), file)
        file.seek(0)
        net, method = nn.Sequential(nn.Linear(3, 2)), PFQ(interval=3)
        method.attach(net)
        method.load_state_dict(torch.load(file, weights_only=True))
        assert before + stages_of(method, net, losses[stop:], start=stop) == whole


def test_the_rule_is_an_upper_bound_before_and_the_truth_after() -> None:
    net, method = nn.Sequential(nn.Linear(3, 2)), PFQ(interval=1)
    assert [(w.share, w.activation, w.gradient) for w in method.cost_rule().operands] == [(1.0, 8, 8)]
    method.attach(net)
    stages = stages_of(method, net, [1.0] * 8)
    assert stages == [0, 0, 0, 0, 0, 1, 1, 1]
    rule = method.cost_rule()
    assert [(w.share, w.activation, w.gradient) for w in rule.operands] == [(5 / 8, 3, 6), (3 / 8, 4, 6)]


def test_batches_of_one_accumulated_gradient_are_one_iteration() -> None:
    net, method = nn.Sequential(nn.Linear(3, 2)), PFQ(interval=1)
    method.attach(net)
    for t in range(6):
        for _ in range(4):
            method.step(t, 6)
            method.loss(torch.ones(()))
    assert method.stage == 1
    assert sum(w.share for w in method.cost_rule().operands) == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": (3, 4)}, "2 widths of operands and 4 of gradients"),
        ({"bits": (), "gradient_bits": ()}, "0 widths"),
        ({"bits": (3, 6, 4, 8)}, "bits from 6 to 4"),
        ({"bits": (0,), "gradient_bits": (8,)}, "bits from 0 to 0"),
        ({"interval": 0}, "interval is 0"),
        ({"threshold": 0.0}, "threshold is 0"),
    ],
)
def test_bad_arguments_are_refused(options: dict, message: str) -> None:
    with pytest.raises(OnebitError, match=message):
        PFQ(**options)
