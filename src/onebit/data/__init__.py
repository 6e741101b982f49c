"""Data sets in their published formats, and batches of them for training.

Example:
    >>> from onebit import data
    >>> digits = data.create("digits")
    >>> images, labels = digits.train()
    >>> images.shape, images.dtype
    (torch.Size([1437, 1, 8, 8]), torch.uint8)
"""

from typing import TYPE_CHECKING, Any

from onebit import _needs_torch  # noqa: F401  # its import is the check
from onebit.data.dataset import DataSet
from onebit.data.download import get
from onebit.data.folder import Folder
from onebit.data.registry import create, names

if TYPE_CHECKING:
    from onebit.data.module import DataModule

__all__ = ["DataModule", "DataSet", "Folder", "create", "get", "names"]


def __getattr__(name: str) -> Any:
    """Imports lightning only for those who train: listing and downloading data sets do without its seconds."""
    if name == "DataModule":
        from onebit.data.module import DataModule

        return DataModule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
