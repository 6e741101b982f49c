"""How much a learner kept and forgot, from its accuracy on each experience after each experience."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from onebit.continual.strategy import Strategy
from onebit.continual.streams import Stream
from onebit.errors import OnebitError


@dataclass(frozen=True)
class Accuracies:
    """The accuracies of one run over T experiences, as shares.

    Attributes:
        matrix: float64 (T, T); ``R[i, j]`` is the accuracy after experience i on the test part of experience j, all
            classes seen by then competing.
        seen: float64 (T,); the accuracy after experience i on the test images of all classes seen by then.

    Example:
        >>> run = Accuracies(torch.tensor([[1.0, 0.0], [0.4, 0.8]]), torch.tensor([1.0, 0.6]))
        >>> [round(v, 3) for v in (run.average, run.backward_transfer, run.forgetting)]
        [0.6, -0.6, 0.6]
    """

    matrix: Tensor
    seen: Tensor

    @property
    def average(self) -> float:
        """ACC = 1/T sum_j R[T, j], after the last experience.

        Source: Lopez-Paz and Ranzato, "Gradient episodic memory", NeurIPS 2017, equation 2.
        """
        return float(self.matrix[-1].mean())

    @property
    def backward_transfer(self) -> float:
        """BWT = 1/(T-1) sum_{i < T} (R[T, i] - R[i, i]): what later experiences did to earlier ones; 0 where T is 1.

        Source: Lopez-Paz and Ranzato, "Gradient episodic memory", NeurIPS 2017, equation 3.
        """
        changes = (self.matrix[-1] - self.matrix.diagonal())[:-1]
        return float(changes.mean()) if len(changes) else 0.0

    @property
    def forgetting(self) -> float:
        """F = 1/(T-1) sum_{j < T} (max_{l < T} R[l, j] - R[T, j]): what was lost of the best so far; 0 where T is 1.

        Source: Chaudhry, Dokania, Ajanthan, Torr, "Riemannian walk for incremental learning", ECCV 2018, section 4.1.
        """
        if len(self.matrix) == 1:
            return 0.0
        return float((self.matrix[:-1].amax(dim=0) - self.matrix[-1])[:-1].mean())


def run(
    learner: Strategy,
    stream: Stream,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    after: Callable[[int], None] = lambda experience: None,
) -> Accuracies:
    """Teaches a stream, and measures after each experience.

    The test part of an experience are the test samples of its classes.

    Args:
        learner: learns in place.
        stream: over the training part.
        train, test: inputs as the learner takes them, and labels int64.
        after: is called with the number of each experience learned.

    Raises:
        OnebitError: an experience has classes without a test sample.

    Example:
        >>> from onebit.continual import NearestClassMean, new_classes
        >>> x, y = torch.eye(3).repeat(4, 1), torch.arange(3).repeat(4)
        >>> run(NearestClassMean(3), new_classes(y, [2, 1]), (x, y), (x, y)).matrix
        tensor([[1., 0.],
                [1., 1.]], dtype=torch.float64)
    """
    parts = [torch.isin(test[1], torch.tensor(experience.classes)) for experience in stream]
    for experience, part in zip(stream, parts, strict=True):
        if not part.any():
            raise OnebitError(
                f"experience {experience.id!r} has no test sample", hint="test with samples of all classes"
            )
    matrix, seen = torch.empty(len(stream), len(stream), dtype=torch.float64), []
    known = torch.zeros(len(test[1]), dtype=torch.bool)
    for number, experience in enumerate(stream):
        learner.learn(train[0][experience.indices], train[1][experience.indices])
        right = (learner.predict(test[0]) == test[1]).double()
        known |= parts[number]
        matrix[number] = torch.stack([right[part].mean() for part in parts])
        seen.append(right[known].mean())
        after(number)
    return Accuracies(matrix, torch.stack(seen))
