"""Quantisers, and all that lies before them, as intervals: +1 where the input lies inside, −1 elsewhere.

Nothing here knows a method. A function is evaluated with the network's own modules: on every integer that a binary dot
product can take, or, on floats, along a grid of the float32 numbers and then by bisection over their bit patterns. So
an interval gives the same bit as PyTorch for every input, rounding included.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from onebit.deploy.elementwise import NotPerChannel, PerChannel
from onebit.format.epilogue import Epilogue
from onebit.format.graph import ConvBinary

_LIMIT = 2.0**100  # beyond it a float is taken to fall as the limit does; modules stay finite up to it
_GRID = 1025
_FAN = 17  # points per channel in a round of the search: 16 times narrower each round
_NEAR = 64  # floats beside a threshold that are tried again


def integer_intervals(function: PerChannel, values: NDArray[np.int64], channels: int) -> NDArray[np.int32]:
    """The interval [O, 2] of each channel: which of ``values`` (ascending) the function takes to +1.

    Raises:
        NotPerChannel: the function is not ±1, is +1 on more than one run of the values, or not elementwise.

    Example:
        >>> from onebit.deploy.elementwise import Step
        >>> signs = torch.tensor([1.0, -1.0])
        >>> function = PerChannel((Step(lambda x: torch.where(x * signs >= 2.5, 1.0, -1.0), rank=2),))
        >>> integer_intervals(function, np.arange(-5, 6, 2), 2)
        array([[ 3,  5],
               [-5, -3]], dtype=int32)
    """
    function.try_elements(channels)
    grid = torch.from_numpy(values.astype(np.float32))[:, None].expand(len(values), channels)
    first, last = _runs(_inside(function, grid))
    empty = first > last
    bounds = np.stack([values[np.minimum(first, len(values) - 1)], values[np.maximum(last, 0)]], axis=1)
    bounds[empty] = (1, 0)
    return bounds.astype(np.int32)


def float_intervals(function: PerChannel, channels: int) -> NDArray[np.float32]:
    """The interval [C, 2] of each channel, bounds included: which floats the function takes to +1.

    Raises:
        NotPerChannel: the function is not ±1, is +1 on more than one run of the floats that were tried, or not
            elementwise.

    Example:
        >>> from onebit.deploy.elementwise import Step
        >>> function = PerChannel((Step(lambda x: torch.where(-x >= 0.1, 1.0, -1.0), rank=2),))
        >>> float_intervals(function, 1)
        array([[-inf, -0.1]], dtype=float32)
    """
    function.try_elements(channels)
    limit = int(_order(torch.tensor(_LIMIT)))
    grid = torch.linspace(-limit, limit, _GRID, dtype=torch.float64).round().long()
    inside = _inside(function, _floats(grid)[:, None].expand(_GRID, channels))
    first, last = (torch.from_numpy(edge) for edge in _runs(inside))
    empty = first > last

    lower = _search(function, grid[(first - 1).clamp(0)], grid[first.clamp(max=_GRID - 1)])
    upper = -_search(function, -grid[(last + 1).clamp(max=_GRID - 1)], -grid[last.clamp(0)], mirrored=True)
    bounds = torch.stack([_floats(lower), _floats(upper)], dim=1)
    bounds[first == 0, 0] = -torch.inf
    bounds[last == _GRID - 1, 1] = torch.inf
    bounds[empty] = torch.tensor([torch.inf, -torch.inf])
    _verify(function, bounds, torch.stack([lower, upper]), grid)
    return bounds.numpy()


def affine_epilogue(conv: ConvBinary, function: PerChannel) -> Epilogue:
    """The scale and bias per channel that ``function`` applies to the dot product of ``conv``.

    Raises:
        NotPerChannel: the function bends, or is not elementwise.
    """
    reach = float(np.prod(conv.weight.shape[1:]))
    channels = conv.weight.shape[0]
    function.try_elements(channels)
    points = torch.tensor([0.0, 1.0, -1.0, -reach, reach, *np.linspace(-reach, reach, 64).round()])
    results = function(points[:, None].expand(len(points), channels)).double()
    bias = results[0]
    scale = torch.where(bias == 0, results[1], (results[4] - results[3]) / (2 * reach))
    error = (results - (points.double()[:, None] * scale + bias)).abs()
    if not (error <= 1e-6 * results.abs().amax(dim=0)).all():
        raise NotPerChannel("it is not one scale and one bias per channel")
    return Epilogue(
        scale=None if bool((scale == 1).all()) else scale.numpy(), bias=None if not bias.any() else bias.numpy()
    )


def dot_products(conv: ConvBinary) -> NDArray[np.int64]:
    """Every value that the dot product of ``conv`` can take: a padded zero changes its parity."""
    reach = int(np.prod(conv.weight.shape[1:]))
    padded = conv.padding_value == 0 and any(conv.window.padding)
    return np.arange(-reach, reach + 1, 1 if padded else 2)


def _inside(function: PerChannel, x: Tensor) -> NDArray[np.bool_]:
    y = function(x)
    if not bool((y.abs() == 1).all()):
        raise NotPerChannel(f"it gives {float(y[y.abs() != 1][0]):.6g}, not only +1 and −1")
    return (y > 0).numpy()


def _runs(inside: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last true row of each column; first > last where there is none."""
    count = inside.sum(axis=0)
    first = np.where(count > 0, inside.argmax(axis=0), len(inside))
    last = np.where(count > 0, len(inside) - 1 - inside[::-1].argmax(axis=0), -1)
    if np.any((count > 0) & (count != last - first + 1)):
        raise NotPerChannel("it is +1 on several separate ranges, which one interval cannot express")
    return first, last


def _order(x: Tensor) -> Tensor:
    """Floats to integers of the same order; both zeros are 0."""
    bits = x.view(torch.int32).long()
    return torch.where(bits < 0, -(2**31) - bits, bits)


def _floats(order: Tensor) -> Tensor:
    """The inverse of _order."""
    bits = torch.where(order < 0, -(2**31) - order, order)
    return bits.to(torch.int32).view(torch.float32)


def _search(function: PerChannel, outside: Tensor, inside: Tensor, mirrored: bool = False) -> Tensor:
    """The smallest number per channel in (outside, inside] that is inside; on the mirrored number line if asked."""
    side = -1 if mirrored else 1
    steps = torch.arange(_FAN)[:, None]
    while bool((inside - outside > 1).any()):
        points = outside + (inside - outside) * steps // (_FAN - 1)
        found = torch.from_numpy(_inside(function, _floats(side * points)))
        found[-1] = True  # also where there is nothing to find: both ends of the run lie beyond the grid
        found[0] = False
        at = found.int().argmax(dim=0, keepdim=True)
        outside, inside = points.gather(0, at - 1)[0], points.gather(0, at)[0]
    return inside


def _verify(function: PerChannel, bounds: Tensor, edges: Tensor, grid: Tensor) -> None:
    """Tries the floats next to each edge and others around it, which the search did not see."""
    generator = torch.Generator().manual_seed(0)
    width = int(grid[1] - grid[0])
    near = torch.arange(-_NEAR, _NEAR + 1)
    around = torch.randint(-width, width, (256,), generator=generator)
    offsets = torch.cat([near, around])[:, None, None]
    points = (edges + offsets).flatten(0, 1).clamp(int(grid[0]), int(grid[-1]))
    x = _floats(points)
    predicted = (x >= bounds[:, 0]) & (x <= bounds[:, 1])
    if not np.array_equal(predicted.numpy(), _inside(function, x)):
        raise NotPerChannel("it is not monotone in each channel")
