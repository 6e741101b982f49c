"""What was written is read back: the same bytes from it, the same tensors; and damage is named."""

import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from onebit import OnebitError, deploy, models
from onebit.format.codes import Activation
from onebit.format.epilogue import Epilogue
from onebit.format.graph import AveragePool, ConvFloat, Graph, MaxPool, PadChannels, Pointwise, Value
from onebit.format.reader import read
from onebit.format.window import Window
from onebit.format.writer import serialize, tensor_count
from tests.deploy.nets import randomize
from tests.format.test_writer import graph
from tests.runtime.obn import crc32c, with_header
from tests.runtime.samples import classifier

CONTENT = serialize(graph(), {"classes": ["a", "", "größer"], "classes.samples": np.array([1, 2, 3], np.uint32)})


def rewritten(content: bytes) -> bytes:
    contents = read(content)
    return serialize(contents.graph, contents.meta, contents.tensors[tensor_count(contents.graph) :])


def exported(folder: Path, name: str, options: dict, **arguments: object) -> bytes:
    torch.manual_seed(0)
    net = randomize(models.create(name, **options), seed=0)
    images = torch.randn(4, *net.input_shape)
    path = folder / "m.obn"
    deploy.export(net, path, images, **arguments)
    return path.read_bytes()


def test_a_graph_gives_the_same_bytes_again() -> None:
    assert rewritten(CONTENT) == CONTENT


def test_every_operator_gives_the_same_bytes_again() -> None:
    x, small, mean, wide, y = Value(8, 9, 3), Value(4, 5, 3), Value(2, 2, 3), Value(2, 2, 6), Value(2, 2, 6)
    epilogue = Epilogue(np.full(6, 2.0), None, Activation.PRELU, np.full(6, 0.25), np.ones(6))
    nodes = [
        MaxPool("max", [x], small, Window((3, 3), (2, 2), (1, 1, 0, 1))),
        AveragePool("mean", [small], mean, Window((2, 2), (2, 2), (0, 0, 1, 0)), count_padding=True),
        PadChannels("pad", [mean], wide, 1, 2),
        Pointwise("sum", [wide, wide], y, epilogue),
        ConvFloat("groups", [y], Value(1, 1, 4), np.ones((4, 2, 2, 3), np.float32), Window((2, 2)), groups=2),
    ]
    content = serialize(Graph(x, nodes, {"y": nodes[-1].output}), {})
    assert rewritten(content) == content
    for node, again in zip(nodes, read(content).graph.nodes, strict=True):
        assert type(again) is type(node)
        assert again.attributes() == node.attributes()


@pytest.mark.parametrize(
    ("name", "options", "arguments"),
    [
        ("small", {}, {"real_valued": "int8", "mean": [0.5], "std": [0.25], "classes": list("abcdefghij")}),
        ("small", {"latent_sign": "blocks.1"}, {"teachable": deploy.Teachable(torch.randn(2, 1, 8, 8), [3, 1])}),
        ("resnet20_cifar", {}, {}),
    ],
)
def test_an_exported_file_gives_the_same_bytes_again(name: str, options: dict, arguments: dict, tmp_path: Path) -> None:
    content = exported(tmp_path, name, options, **arguments)
    assert rewritten(content) == content


def test_a_file_that_another_writer_made() -> None:
    source = classifier()
    contents = read(source.to_bytes())
    assert list(contents.graph.outputs) == [name for _, name in source.outputs]
    assert [node.kind for node in contents.graph.nodes] == [node.op for node in source.nodes]
    for node, other in zip(contents.graph.nodes, source.nodes, strict=True):
        written = [tensor for tensor in other.tensors.values() if tensor is not None]
        found = [tensor for tensor in node.constants() if tensor is not None]
        assert node.attributes() == list(other.attributes.values())
        for tensor, expected in zip(found, written, strict=True):
            assert np.array_equal(tensor, expected < 0 if tensor.dtype == np.bool_ else expected)


@settings(max_examples=200, deadline=None)
@given(bit=st.integers(0, len(CONTENT) * 8 - 1))
def test_any_flipped_bit_is_noticed(bit: int) -> None:
    content = bytearray(CONTENT)
    content[bit // 8] ^= 1 << bit % 8
    with pytest.raises(OnebitError):
        read(bytes(content))


@settings(max_examples=500, deadline=None)
@given(place=st.integers(64 + 4 * 24, len(CONTENT) - 1), value=st.integers(0, 255))
def test_behind_right_checksums_a_changed_byte_is_read_or_named(place: int, value: int) -> None:
    content = bytearray(CONTENT)
    content[place] = value
    table = [struct.unpack_from("<2Q", content, 64 + 24 * index + 8) for index in range(4)]
    weights = b"".join(content[offset : offset + length] for offset, length in table[1:])
    digest = hashlib.sha256(weights).hexdigest().encode()
    known = read(CONTENT).meta["weights.sha256"]
    try:
        contents = read(with_header(bytes(content[64:]).replace(known.encode(), digest)))
    except OnebitError:
        return
    contents.graph.check()


@pytest.mark.parametrize("length", [0, 10, 64, len(CONTENT) - 1])
def test_a_file_cut_short_is_named(length: int) -> None:
    with pytest.raises(OnebitError, match="damaged"):
        read(CONTENT[:length])


def test_another_version_is_named() -> None:
    header = CONTENT[:8] + struct.pack("<I", 2) + CONTENT[12:28]
    with pytest.raises(OnebitError, match="version is 2"):
        read(header + struct.pack("<I", crc32c(header)) + CONTENT[32:])
