"""A bit width that a schedule may change and a checkpoint keeps."""

import torch
from torch import Tensor, nn

from onebit.errors import OnebitError


def check_bits(bits: int) -> int:
    """Returns ``bits``, or raises OnebitError if a float32 cannot hold that many levels exactly (1 to 24 bits)."""
    if not 1 <= bits <= 24:
        raise OnebitError(f"{bits} bits asked for", hint="a quantiser takes 1 to 24 bits")
    return int(bits)


class KBitQuantizer(nn.Module):
    """Base of the quantisers with a settable width.

    ``bits`` is an int and may be set at any time. It travels in the state dict as the module's extra state (a tensor),
    not as a
    buffer: reading a buffer in each forward pass would wait for the GPU.

    Args:
        bits: 1 to 24.

    Raises:
        OnebitError: another number of bits.

    Example:
        >>> source, target = KBitQuantizer(6), KBitQuantizer(2)
        >>> _ = target.load_state_dict(source.state_dict())
        >>> target.bits
        6
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    @property
    def bits(self) -> int:
        return self._bits

    @bits.setter
    def bits(self, bits: int) -> None:
        self._bits = check_bits(bits)

    @property
    def precision(self) -> int:
        """The width in bits, as the cost ledger reads it."""
        return self._bits

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self._bits)

    def set_extra_state(self, state: Tensor) -> None:
        self.bits = int(state)

    def extra_repr(self) -> str:
        return f"bits={self.bits}"
