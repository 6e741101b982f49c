"""How a data set becomes a stream: new classes (NC), new instances (NI), or both (NIC).

Source: Lomonaco and Maltoni, "CORe50: a new dataset and benchmark for continuous object recognition", 2017, section 3;
NICv2: Lomonaco, Maltoni, Pellegrini, "Rehearsal-free continual learning over small non-i.i.d. batches", 2020.

A *session* is a set of samples taken together, as CORe50 has them; for a data set without any, :func:`random_sessions`
makes some.
"""

from collections.abc import Iterator, Sequence
from itertools import count

import torch
from torch import Tensor

from onebit.continual.streams import Stream
from onebit.errors import OnebitError

_ATTEMPTS = 100


def new_classes(labels: Tensor, sizes: Sequence[int], seed: int | None = None, *, data: str = "") -> Stream:
    """The NC protocol: each experience brings classes that were not there before, all their samples at once.

    Args:
        labels: int64 (N,).
        sizes: classes of each experience, for CIFAR-10 ``[2] * 5``.
        seed: shuffles the classes; None keeps them in ascending order.
        data: name of the data set.

    Raises:
        OnebitError: the sizes do not add up to the number of classes.

    Example:
        >>> [e.classes for e in new_classes(torch.tensor([0, 1, 2, 2, 1, 3]), [2, 1, 1])]
        [(0, 1), (2,), (3,)]
    """
    present = labels.unique()
    if sum(sizes) != len(present) or min(sizes, default=0) < 1:
        raise OnebitError(
            f"experiences of {list(sizes)} classes do not make up {len(present)} classes",
            hint="sizes above 0 that add up to the number of classes",
        )
    if seed is not None:
        present = present[torch.randperm(len(present), generator=torch.Generator().manual_seed(seed))]
    parts = [torch.isin(labels, classes).nonzero()[:, 0] for classes in present.split(list(sizes))]
    return Stream.of(labels, parts, data, "nc" if seed is None else f"nc-{seed}")


def new_instances(
    labels: Tensor, experiences: int, seed: int, sessions: Tensor | None = None, *, data: str = ""
) -> Stream:
    """The NI protocol: each experience brings new samples of the same classes.

    Without sessions each class is dealt evenly among the experiences; with them, whole sessions are, in an order that
    the seed gives.

    Args:
        labels: int64 (N,).
        experiences: how many; for CIFAR-10 10, each with 500 images per class.
        seed: for the dealing.
        sessions: int64 (N,), or None.
        data: name of the data set.

    Raises:
        OnebitError: more experiences than sessions, or than samples of a class.

    Example:
        >>> stream = new_instances(torch.tensor([0, 0, 0, 0, 1, 1]), 2, seed=0)
        >>> [(e.classes, len(e.indices)) for e in stream]
        [((0, 1), 3), ((0, 1), 3)]
    """
    dealt = random_sessions(labels, experiences, seed) if sessions is None else sessions
    order = dealt.unique()
    if not 1 <= experiences <= len(order):
        raise OnebitError(f"{len(order)} sessions do not make {experiences} experiences", hint="ask for fewer")
    if sessions is not None:
        order = order[torch.randperm(len(order), generator=torch.Generator().manual_seed(seed))]
    parts = [torch.isin(dealt, own).nonzero()[:, 0] for own in order.tensor_split(experiences)]
    return Stream.of(labels, parts, data, f"ni-{seed}")


def new_instances_and_classes(
    labels: Tensor, sessions: Tensor, first: int, units: int, seed: int, *, data: str = ""
) -> Stream:
    """The NIC protocol in its second version: a first experience of several classes, then small ones.

    A unit is one session of one class. The first experience has one unit of each of ``first`` classes; every other has
    ``units`` of as many classes, the last perhaps fewer. No class of an experience is in the one after it. The classes
    still to come first appear at places spread evenly over the first half of the stream, earlier only where
    the classes known have nothing left that may be shown. CORe50 has 50 × 8 units: ``first=10`` with ``units`` 5, 2, 1
    gives streams of the lengths of NICv2-79, -196 and -391 (its own lists are read by
    :func:`onebit.continual.core50.read_file_lists`).

    Args:
        labels: int64 (N,).
        sessions: int64 (N,).
        first: classes of the first experience.
        units: classes of every other.
        seed: for the order.
        data: name of the data set.

    Raises:
        OnebitError: ``first`` or ``units`` that the classes do not allow, or no such order was found.

    Example:
        >>> labels = torch.arange(4).repeat_interleave(6)
        >>> stream = new_instances_and_classes(labels, torch.arange(24) % 3, first=2, units=1, seed=0)
        >>> [e.classes for e in stream][0], len(stream)
        ((0, 1), 11)
    """
    classes = labels.unique().tolist()
    if not 1 <= first <= len(classes) or units < 1:
        raise OnebitError(
            f"a first experience of {first} classes and others of {units}, of {len(classes)} classes",
            hint=f"choose first between 1 and {len(classes)}, and units above 0",
        )
    generator = torch.Generator().manual_seed(seed)
    for _ in range(_ATTEMPTS):
        order = [classes[i] for i in torch.randperm(len(classes), generator=generator).tolist()]
        left = {c: _shuffled(sessions[labels == c].unique(), generator) for c in order}
        plan = [order[:first], *_later({c: len(left[c]) for c in order}, order, first, units, generator)]
        if sum(map(len, plan)) == sum(map(len, left.values())):
            parts = [
                torch.cat([((labels == c) & (sessions == left[c].pop())).nonzero()[:, 0] for c in taught])
                for taught in plan
            ]
            return Stream.of(labels, parts, data, f"nic-{seed}")
    raise OnebitError(
        "found no order in which no class is in two experiences running",
        hint="a class has too many sessions beside the others: ask for larger experiences, or for NI",
    )


def random_sessions(labels: Tensor, number: int, seed: int) -> Tensor:
    """Deals the samples of each class evenly among ``number`` sessions; int64 (N,).

    Raises:
        OnebitError: a class has fewer samples than there are to be sessions.

    Example:
        >>> random_sessions(torch.tensor([0, 0, 1, 1, 1, 1]), 2, seed=0).bincount()
        tensor([3, 3])
    """
    generator = torch.Generator().manual_seed(seed)
    sessions = torch.empty_like(labels)
    for c in labels.unique():
        own = (labels == c).nonzero()[:, 0]
        if not 1 <= number <= len(own):
            raise OnebitError(f"{len(own)} samples of class {int(c)} do not make {number} parts", hint="ask for fewer")
        sessions[own[torch.randperm(len(own), generator=generator)]] = torch.arange(len(own)) * number // len(own)
    return sessions


def _later(
    left: dict[int, int], order: list[int], first: int, units: int, generator: torch.Generator
) -> Iterator[list[int]]:
    """The classes of each experience after the first; ends early where it runs into a dead end.

    A class is drawn in proportion to the units that it has left. One that must be taught in every second experience
    from now on to be finished in time is drawn before the others.
    """
    before = set(order[:first])
    for c in before:
        left[c] -= 1
    known, coming = order[:first], order[first:]
    length = -(-sum(left.values()) // units)
    due = [(place + 1) * length // (2 * len(coming) + 1) for place in range(len(coming))]
    for number in count():
        if not any(left.values()):
            return
        while coming and due[-len(coming)] <= number:
            known.append(coming.pop(0))
        free = [c for c in known if left[c] and c not in before]
        while coming and len(free) < units:
            known.append(coming.pop(0))
            free.append(known[-1])
        if not free:
            return
        urgent = [c for c in free if 2 * left[c] >= length - number]
        pressed = torch.tensor([left[c] * (1e6 if c in urgent else 1.0) for c in free])
        drawn = torch.multinomial(pressed, min(units, len(free)), generator=generator)
        taught = [free[i] for i in drawn.tolist()]
        yield taught
        for c in taught:
            left[c] -= 1
        before = set(taught)


def _shuffled(values: Tensor, generator: torch.Generator) -> list[int]:
    return values[torch.randperm(len(values), generator=generator)].tolist()
