"""The distributional loss against its equation, and the method in a plain loop."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from onebit import cost, models
from onebit.errors import OnebitError
from onebit.methods import Compose, Distillation, ReActNet
from onebit.methods.distillation import soft_cross_entropy


@given(seed=st.integers(0, 2**31), batch=st.integers(1, 6), classes=st.integers(1, 7))
def test_loss_is_that_of_the_paper_up_to_the_teachers_entropy(seed: int, batch: int, classes: int) -> None:
    torch.manual_seed(seed)
    student, teacher = (torch.randn(batch, classes, requires_grad=True) for _ in range(2))
    twin = student.detach().double().requires_grad_()
    q = teacher.detach().double().exp() / teacher.detach().double().exp().sum(1, keepdim=True)
    p = twin.exp() / twin.exp().sum(1, keepdim=True)
    divergence = (q * torch.log(q / p)).sum() / batch
    entropy = -(q * q.log()).sum() / batch
    loss = soft_cross_entropy(student, teacher)
    torch.testing.assert_close(loss.double(), divergence + entropy, rtol=1e-5, atol=1e-5)
    loss.backward()
    divergence.backward()
    torch.testing.assert_close(student.grad.double(), twin.grad, rtol=1e-4, atol=1e-6)
    assert teacher.grad is None


def test_replaces_the_loss_and_other_methods_add_to_it() -> None:
    torch.manual_seed(0)
    teacher = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10))
    before = copy.deepcopy(teacher.state_dict())
    net = models.create("small", width=8)
    method = Compose([Distillation(teacher), ReActNet(step=1)])
    method.attach(net)
    images = torch.randn(4, 1, 8, 8)
    logits = net(images)
    loss = method.loss(logits.sum() * float("nan"))
    assert torch.equal(loss, soft_cross_entropy(logits, teacher(images)))
    loss.backward()
    assert all(torch.equal(value, teacher.state_dict()[key]) for key, value in before.items())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not any(key.startswith("teacher") for key in net.state_dict())


def test_a_batch_is_used_once_and_evaluation_is_not_noted() -> None:
    net, method = nn.Linear(4, 3), Distillation(nn.Linear(4, 3))
    method.attach(net)
    with pytest.raises(OnebitError, match="seen no batch"):
        method.loss(torch.zeros(()))
    net.eval()(torch.randn(2, 4))
    with pytest.raises(OnebitError, match="seen no batch"):
        method.loss(torch.zeros(()))
    net.train()(torch.randn(2, 4))
    method.loss(torch.zeros(()))
    with pytest.raises(OnebitError, match="seen no batch"):
        method.loss(torch.zeros(()))


def test_a_teacher_of_other_classes_is_refused() -> None:
    net, method = nn.Linear(4, 3), Distillation(nn.Linear(4, 5))
    method.attach(net)
    net(torch.randn(2, 4))
    with pytest.raises(OnebitError, match=r"answers \(2, 3\), its teacher \(2, 5\)"):
        method.loss(torch.zeros(()))


def test_the_ledger_counts_the_student_only() -> None:
    plain, taught = models.create("small"), models.create("small")
    method = Compose([Distillation(models.create("small", width=96)), ReActNet(step=2)])
    method.attach(taught)
    ReActNet(step=2).attach(plain)
    example = torch.zeros(1, 1, 8, 8)
    counted, expected = cost.count(taught, example, method), cost.count(plain, example, ReActNet(step=2))
    assert counted.total == expected.total
    assert counted.memory_bytes == expected.memory_bytes
