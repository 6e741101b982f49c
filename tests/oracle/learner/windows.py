"""What the taps of a window see of an image (N, h, w, c)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


class Windows:
    """The windows of a convolution or a pool.

    Args:
        kernel, stride: (height, width).
        padding: (top, left, bottom, right).

    Example:
        >>> windows = Windows((1, 2), (1, 2), (0, 1, 0, 0))
        >>> parts = windows.parts(torch.tensor([1, 2, 3]).view(1, 1, 3, 1), beyond=0)
        >>> [part.flatten().tolist() for part in parts]
        [[0, 2], [1, 3]]
        >>> windows.gathered(parts, 1, 3).flatten()
        tensor([1, 2, 3])
    """

    def __init__(self, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> None:
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def parts(self, x: Tensor, beyond: int) -> list[Tensor]:
        """For each tap, in the order ky, kx, what it sees, (N, output h, output w, c); ``beyond`` in the padding."""
        top, left, bottom, right = self.padding
        return self._views(functional.pad(x, (0, 0, left, right, top, bottom), value=beyond))

    def gathered(self, parts: Sequence[Tensor], h: int, w: int) -> Tensor:
        """(N, h, w, c): for each pixel the sum of what the taps that see it have for it."""
        top, left, bottom, right = self.padding
        n, c = parts[0].shape[0], parts[0].shape[-1]
        padded = torch.zeros(n, h + top + bottom, w + left + right, c, dtype=parts[0].dtype)
        for to, part in zip(self._views(padded), parts, strict=True):
            to += part
        return padded[:, top : top + h, left : left + w]

    def _views(self, padded: Tensor) -> list[Tensor]:
        (rows, columns), (down, right) = self.kernel, self.stride
        last_y, last_x = padded.shape[1] - rows + 1, padded.shape[2] - columns + 1
        return [padded[:, y : y + last_y : down, x : x + last_x : right] for y in range(rows) for x in range(columns)]
