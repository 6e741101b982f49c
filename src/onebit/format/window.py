"""Where the kernel of a convolution or a pooling lies."""

from dataclasses import dataclass

from onebit.errors import OnebitError
from onebit.format.limits import MAX_KERNEL, MAX_STEP


@dataclass(frozen=True)
class Window:
    """Where a kernel lies: sides as (height, width), padding as (top, left, bottom, right).

    Example:
        >>> Window((3, 3), stride=(2, 2), padding=(1, 1, 1, 1)).output_sides(8, 9)
        (4, 5)
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def output_sides(self, h: int, w: int) -> tuple[int, int]:
        top, left, bottom, right = self.padding
        reach_h, reach_w = (d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))
        return (h + top + bottom - reach_h) // self.stride[0] + 1, (w + left + right - reach_w) // self.stride[1] + 1

    def check(self, where: str) -> None:
        """Raises OnebitError if the window is outside the limits of the format."""
        if not all(1 <= k <= MAX_KERNEL for k in self.kernel):
            raise OnebitError(f"{where}: a kernel of {self.kernel} is outside 1 to {MAX_KERNEL} a side")
        if not all(1 <= step <= MAX_STEP for step in self.stride + self.dilation):
            raise OnebitError(f"{where}: stride {self.stride} or dilation {self.dilation} is outside 1 to {MAX_STEP}")
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True)]
        if not all(0 <= pad < reach[side % 2] for side, pad in enumerate(self.padding)):
            raise OnebitError(
                f"{where}: padding {self.padding} reaches past the kernel, which spans {reach[0]} x {reach[1]}",
                hint="the format needs padding smaller than the (dilated) kernel",
            )
