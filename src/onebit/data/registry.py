"""Data sets by name."""

from typing import Any

from onebit.data.cifar import CIFAR10, CIFAR100, CIFAR100Subset
from onebit.data.core50 import CORe50
from onebit.data.dataset import DataSet
from onebit.data.digits import Digits
from onebit.data.folder import Folder
from onebit.data.imagenet import ImageNet
from onebit.data.mnist import MNIST, FashionMNIST
from onebit.data.shards import ImageNetShards
from onebit.errors import OnebitError, nearest

DATA_SETS: dict[str, type[DataSet]] = {
    kind.name: kind
    for kind in (
        Digits,
        MNIST,
        FashionMNIST,
        CIFAR10,
        CIFAR100,
        CIFAR100Subset,
        CORe50,
        Folder,
        ImageNet,
        ImageNetShards,
    )
}


def names() -> tuple[str, ...]:
    """The names that `create` knows.

    Example:
        >>> "cifar10" in names()
        True
    """
    return tuple(DATA_SETS)


def find(name: str) -> type[DataSet]:
    """The class of a data set.

    Raises:
        OnebitError: there is none of that name; names the nearest.
    """
    if name in DATA_SETS:
        return DATA_SETS[name]
    hint = nearest(name.lower().replace("-", ""), DATA_SETS, f"data sets: {', '.join(DATA_SETS)}")
    raise OnebitError(f"there is no data set '{name}'", hint=hint)


def create(name: str, **options: Any) -> DataSet:
    """Makes the data set of that name; its files are read when they are asked for.

    Args:
        name: one of `names()`.
        options: arguments of its class; every one takes ``root``, the folder that holds data sets.

    Raises:
        OnebitError: there is no data set of that name, or it does not take an option.

    Example:
        >>> create("digits").classes[:3]
        ('0', '1', '2')
    """
    kind = find(name)
    try:
        return kind(**options)
    except TypeError as problem:
        raise OnebitError(f"data set {name}: {problem}", hint="see its page: docs/data.md") from problem
