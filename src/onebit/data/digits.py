"""Handwritten digits of scikit-learn: 1,797 images of 8×8 pixels, inside its package, so always at hand.

Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998 (its test part).
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from onebit.data.dataset import DataSet, Split


class Digits(DataSet):
    """The values v in [0, 16] are stored as uint8: round(v · 255 / 16), halves to even.

    The publication has no split of these images: 80 % train and 20 % test are drawn stratified by class with a fixed
    seed.

    Example:
        >>> images, labels = Digits().test()
        >>> images.shape, labels.bincount().tolist()
        (torch.Size([360, 1, 8, 8]), [36, 36, 35, 37, 36, 37, 36, 36, 35, 36])
    """

    name = "digits"
    counts = (1437, 360)
    classes = tuple("0123456789")
    shape = (1, 8, 8)
    mean = (0.30543369,)
    std = (0.37595716,)

    def train(self) -> Split:
        return self._split()[0]

    def test(self) -> Split:
        return self._split()[1]

    def _split(self) -> tuple[Split, Split]:
        bunch = load_digits()
        images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
        labels = bunch.target.astype(np.int64)
        train, test = train_test_split(np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0)
        first, second = (
            (torch.from_numpy(images[part]), torch.from_numpy(labels[part])) for part in (np.sort(train), np.sort(test))
        )
        return first, second
