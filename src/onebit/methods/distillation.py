"""Training on the answers of another network instead of the labels.

With p_k the student's softmax over K classes, and q_k the teacher's, of the same batch:

    L = −mean Σ_k q_k log p_k

ReActNet's distributional loss (Liu et al., ECCV 2020, arXiv 2003.03488, equation 4) is the Kullback-Leibler divergence
mean Σ_k q_k log(q_k / p_k), which is L less the teacher's entropy; its released code has L. The labels do not enter.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from onebit.cost.rule import CostRule, Widths
from onebit.errors import OnebitError
from onebit.methods.base import Method


def soft_cross_entropy(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """L, of logits (N, K) of both; no gradient flows to the teacher's.

    Raises:
        OnebitError: logits of different shapes.

    Example:
        >>> logits = torch.tensor([[0.0, 0.0], [3.0, 1.0]])
        >>> soft_cross_entropy(logits, torch.tensor([[9.0, -9.0], [-9.0, 9.0]]))  # ln 2 and 2.13
        tensor(1.4100)
    """
    if logits.shape != teacher_logits.shape:
        shapes = [tuple(x.shape) for x in (logits, teacher_logits)]
        raise OnebitError(
            f"the network answers {shapes[0]}, its teacher {shapes[1]}", hint="take a teacher for the same classes"
        )
    return functional.cross_entropy(logits.float(), teacher_logits.detach().float().softmax(1))


class Distillation(Method):
    """Replaces the loss by the soft cross-entropy with a teacher.

    With other methods it comes first: ``Compose([Distillation(teacher), ReActNet(step=1)])``. In a recipe, ``teacher``
    does that. The ledger does not count the teacher's operations.

    Args:
        teacher: maps the student's input to logits (N, K); put into evaluation mode and frozen. It is not part of the
            student and of no checkpoint.

    Raises:
        OnebitError: ``loss`` before a forward pass of the student in training mode.

    Example:
        >>> student, teacher = nn.Linear(4, 3), nn.Linear(4, 3)
        >>> method = Distillation(teacher)
        >>> method.attach(student)
        >>> x, labels = torch.randn(2, 4), torch.tensor([0, 1])
        >>> label_loss = functional.cross_entropy(student(x), labels)
        >>> torch.equal(method.loss(label_loss), soft_cross_entropy(student(x), teacher(x)))
        True
    """

    def __init__(self, teacher: nn.Module) -> None:
        self.teacher = teacher.eval().requires_grad_(False)
        self._seen: tuple[Tensor, Tensor] | None = None

    def attach(self, net: nn.Module) -> None:
        net.register_forward_hook(self._note)

    def loss(self, loss: Tensor) -> Tensor:
        if self._seen is None:
            raise OnebitError("Distillation has seen no batch", hint="call the network in training mode first")
        (x, logits), self._seen = self._seen, None
        with torch.no_grad():
            targets = self.teacher.to(x.device)(x)
        return soft_cross_entropy(logits, targets)

    def cost_rule(self) -> CostRule:
        """Changes no operand."""
        return CostRule((Widths(),))

    def __deepcopy__(self, memo: dict[int, Any]) -> "Distillation":
        """Itself: a copy of the student, made to count or to export, needs no teacher of its own."""
        return self

    def _note(self, net: nn.Module, inputs: tuple[Any, ...], logits: Tensor) -> None:
        if net.training:
            self._seen = inputs[0], logits
