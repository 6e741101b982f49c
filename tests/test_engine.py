"""The extension: a model from memory needs neither its file nor the bytes that it was made from."""

import ctypes
import sys

import numpy as np
import pytest

from onebit import OnebitError, _engine
from tests.runtime.samples import classifier

CONTENT = classifier().to_bytes()
X = np.random.default_rng(0).standard_normal((2, 8, 8, 3)).astype(np.float32)


def logits(model: _engine.Model) -> np.ndarray:
    y = np.empty((2, 1, 1, 4), np.float32)
    _engine.Session(model, 2, 1, "", ["logits"]).run(X, [y])
    return y


def aligned_copy() -> tuple[bytes, int]:
    """Bytes at an address, a multiple of 64, where the C API alone would use them in place."""
    tried = []
    for _ in range(1000):
        tried.append(bytes(bytearray(CONTENT)))
        address = id(tried[-1]) + bytes.__basicsize__ - 1
        if address % 64 == 0:
            return tried[-1], address
    raise AssertionError("no copy was aligned")


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="where bytes lie is CPython's matter")
def test_a_model_does_not_need_the_bytes_that_it_was_made_from(tmp_path) -> None:
    path = tmp_path / "m.obn"
    path.write_bytes(CONTENT)
    content, address = aligned_copy()
    model = _engine.Model.from_bytes(content)
    ctypes.memset(address, 0, len(content))
    assert not any(content)
    assert np.array_equal(logits(model), logits(_engine.Model(bytes(path))))


@pytest.mark.parametrize("content", [b"", b"x", CONTENT[:-1], CONTENT + b"\0"])
def test_bytes_that_are_no_model_are_refused(content: bytes) -> None:
    with pytest.raises(OnebitError):
        _engine.Model.from_bytes(content)
