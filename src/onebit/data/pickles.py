"""Reading the published pickles of CIFAR without running anything that is in them."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from onebit.errors import OnebitError


class _DType:
    """Stands for ``numpy.dtype`` in a pickle: remembers the type code, runs no code of numpy on hostile state."""

    def __init__(self, code: bytes | str, *_: object) -> None:
        self.code = code.decode() if isinstance(code, bytes) else code

    def __setstate__(self, state: object) -> None:
        """Byte order, alignment: without meaning for single bytes."""


class _Array:
    """Stands for ``numpy.ndarray`` in a pickle; only matrices of unsigned bytes are accepted."""

    array: np.ndarray

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, column_major, data = state
        if not isinstance(dtype, _DType) or dtype.code != "u1" or not isinstance(data, bytes):
            raise pickle.UnpicklingError("an array is not of unsigned bytes")
        self.array = np.frombuffer(data, np.uint8).reshape(shape, order="F" if column_major else "C")


def _reconstruct(kind: type, shape: object, code: object) -> _Array:
    if kind is not _Array:
        raise pickle.UnpicklingError("an array of an unknown kind")
    return _Array()


class _Unpickler(pickle.Unpickler):
    """Knows three names, all of them ours; any other is refused."""

    _KNOWN = {  # noqa: RUF012  (a constant)
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _DType,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def read_pickle(path: Path) -> dict[str, Any]:
    """Reads a pickled dictionary of numbers, texts, lists and arrays of unsigned bytes.

    Args:
        path: a pickle as CIFAR publishes it (Python 2, protocol 2) or of the same content in a later protocol.

    Returns:
        The dictionary; its keys are texts, texts among its values are bytes as Python 2 wrote them, arrays uint8.

    Raises:
        OnebitError: the file is not such a pickle, is cut off, or asks for anything else to be imported or run.

    Example:
        >>> path = getfixture("tmp_path") / "evil"
        >>> _ = path.write_bytes(b"cos\\nsystem\\n(S'echo no'\\ntR.")
        >>> read_pickle(path)
        Traceback (most recent call last):
        ...
        onebit.errors.OnebitError: ...evil: not a pickle of plain data: it asks for os.system (...)
    """
    try:
        content = _Unpickler(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        if not isinstance(content, dict):
            raise pickle.UnpicklingError("it is not a dictionary")
        return {_text(key): _plain(value) for key, value in content.items()}
    except OSError:
        raise
    except Exception as problem:  # whatever a hostile file provokes in the unpickler
        raise OnebitError(
            f"{path}: not a pickle of plain data: {problem}", hint="do not trust this file; download the data set again"
        ) from problem


def _text(value: bytes | str) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


def _plain(value: Any) -> Any:
    return value.array if isinstance(value, _Array) else value
