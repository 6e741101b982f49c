"""The nearest class mean: no training at all."""

import torch
from torch import Tensor
from torch.nn import functional

from onebit.continual.strategy import Strategy


class NearestClassMean(Strategy):
    """Predicts the class whose mean feature is nearest, as iCaRL does.

        mu_y = mean of x / |x| over the samples of y so far;  prediction = argmin_y | x / |x| - mu_y / |mu_y| |

    iCaRL takes the mean over a few exemplars, since its network changes; here the network below is frozen, so the exact
    mean of everything seen takes one row per class, and no sample is kept.

    Args:
        classes: K, that will come.

    Source: Rebuffi, Kolesnikov, Sperl, Lampert, "iCaRL", CVPR 2017, algorithm 1.

    Example:
        >>> learner = NearestClassMean(3)
        >>> learner.learn(torch.tensor([[1.0, 0.1], [0.1, 2.0]]), torch.tensor([0, 2]))
        >>> learner.predict(torch.tensor([[5.0, 0.0], [0.0, 0.2]]))
        tensor([0, 2])
    """

    def __init__(self, classes: int) -> None:
        self.past = torch.zeros(classes, dtype=torch.int64)
        self.sums: Tensor | None = None

    def learn(self, inputs: Tensor, labels: Tensor) -> None:
        self._check_experience(inputs, labels)
        features = functional.normalize(inputs.flatten(1))
        if self.sums is None:
            self.sums = features.new_zeros(len(self.past), features.shape[1])
        self.sums.index_add_(0, labels, features)
        self.past += torch.bincount(labels, minlength=len(self.past))

    def predict(self, inputs: Tensor) -> Tensor:
        self._check_known()
        assert self.sums is not None  # some class is known
        # between unit vectors the nearest is the one of the largest product
        products = functional.normalize(inputs.flatten(1)) @ functional.normalize(self.sums).T
        return products.masked_fill(self.past == 0, -torch.inf).argmax(dim=1)
