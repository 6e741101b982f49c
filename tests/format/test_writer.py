"""The bytes, read back with nothing but the page docs/file-format.md."""

import hashlib
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from onebit.errors import OnebitError
from onebit.format.codes import Activation
from onebit.format.epilogue import Epilogue
from onebit.format.graph import (
    Binarize,
    ConvBinary,
    ConvFloat,
    ConvInt8,
    Graph,
    MaxPool,
    PadChannels,
    Pointwise,
    Value,
)
from onebit.format.window import Window
from onebit.format.writer import pack_bits, serialize, write


def crc32c(content: bytes) -> int:
    """Bit by bit, as the page defines it."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def graph() -> Graph:
    rng = np.random.default_rng(0)
    x, floats, bits, y = Value(4, 5, 3), Value(2, 5, 2), Value(2, 5, 2, bits=True), Value(1, 1, 4)
    weight = rng.normal(size=(2, 2, 1, 3)).astype(np.float32)
    epilogue = Epilogue(bias=np.array([0.5, -1]), activation=Activation.PRELU, slope=np.array([0.25, 0.5]))
    signs = rng.choice(np.array([-1, 1], np.int8), size=(4, 2, 5, 2))
    first = ConvFloat("first", [x], floats, weight, Window((2, 1), stride=(2, 1)), 1, epilogue)
    sign = Binarize("sign", [floats], bits, np.array([[0, np.inf], [-1.5, 2]], np.float32))
    dense = ConvBinary("dense", [bits], y, signs, Window((2, 5)), padding_value=1)
    return Graph(x, [first, sign, dense], {"logits": y})


def sections(content: bytes) -> dict[str, bytes]:
    found = {}
    end = 64 + 4 * 24
    for i in range(4):
        kind, zero, offset, length = struct.unpack_from("<4sIQQ", content, 64 + 24 * i)
        assert zero == 0
        assert offset % 64 == 0
        assert offset >= end
        assert not any(content[end:offset])
        found[kind.decode()] = content[offset : offset + length]
        end = offset + length
    assert not any(content[end:])
    assert list(found) == ["META", "GRPH", "TNSR", "DATA"]
    return found


def test_header_and_checksums() -> None:
    content = serialize(graph(), {})
    magic, version, count, length, body, head = struct.unpack_from("<8sIIQII", content)
    assert (magic, version, count, length) == (bytes.fromhex("894F424E0D0A1A0A"), 1, 4, len(content))
    assert body == crc32c(content[64:])
    assert head == crc32c(content[:28])
    assert not any(content[32:64])
    sections(content)


def test_meta() -> None:
    meta = {
        "provenance": json.dumps({"who": "Ωnebit"}),
        "classes": ["a", "", "größer"],
        "classes.samples": np.array([1, 2, 3], np.uint32),
        "input.mean": np.array([0.25], np.float32),
    }
    found = sections(serialize(graph(), meta))
    content = found["META"]
    (count,) = struct.unpack_from("<I", content)
    offset, entries = 4, {}
    for _ in range(count):
        key_length, kind, zero, length = struct.unpack_from("<HBBI", content, offset)
        assert zero == 0
        start = offset + 8 + key_length
        entries[content[offset + 8 : start].decode()] = (kind, content[start : start + length])
        offset = start + length
    assert offset == len(content)
    assert list(entries) == sorted([*meta, "weights.sha256"])
    assert entries["provenance"] == (1, str(meta["provenance"]).encode())
    texts = b"".join(struct.pack("<I", len(t.encode())) + t.encode() for t in meta["classes"])
    assert entries["classes"] == (2, texts)
    assert entries["input.mean"] == (3, struct.pack("<f", 0.25))
    assert entries["classes.samples"] == (4, struct.pack("<3I", 1, 2, 3))
    digest = hashlib.sha256(found["GRPH"] + found["TNSR"] + found["DATA"]).hexdigest()
    assert entries["weights.sha256"] == (1, digest.encode())


def test_tensors_and_graph() -> None:
    source = graph()
    found = sections(serialize(source, {}))
    count, zero = struct.unpack_from("<II", found["TNSR"])
    assert zero == 0
    tensors = []
    for i in range(count):
        dtype, rank, *dims, offset, length = struct.unpack_from("<II4IQQ", found["TNSR"], 8 + 40 * i)
        assert offset % 64 == 0
        assert dims[rank:] == [1] * (4 - rank)
        tensors.append((dtype, dims[:rank], found["DATA"][offset : offset + length]))
    weight, bias, slope, interval, signs = tensors
    assert weight[:2] == (1, [2, 2, 1, 3])
    assert np.array_equal(np.frombuffer(weight[2], "<f4").reshape(2, 2, 1, 3), source.nodes[0].weight)
    assert bias == (1, [2], struct.pack("<2f", 0.5, -1))
    assert slope == (1, [2], struct.pack("<2f", 0.25, 0.5))
    assert interval == (1, [2, 2], struct.pack("<4f", 0, np.inf, -1.5, 2))
    assert signs[:2] == (3, [4, 2, 5, 2])
    assert np.array_equal(np.frombuffer(signs[2], "<u4").reshape(4, 2, 5, 1), pack_bits(source.nodes[2].weight < 0))

    content = found["GRPH"]
    assert struct.unpack_from("<4I", content) == (4, 3, 0, 1)
    assert struct.unpack_from("<I60s", content, 16) == (3, b"logits".ljust(60, b"\0"))
    values = [struct.unpack_from("<4I", content, 80 + 16 * i) for i in range(4)]
    assert values == [(1, 4, 5, 3), (1, 2, 5, 2), (2, 2, 5, 2), (1, 1, 1, 4)]
    absent, offset, nodes = 0xFFFFFFFF, 144, []
    for _ in range(3):
        op, inputs, numbers, attributes, output, name = struct.unpack_from("<5I60s", content, offset)
        form = f"<{inputs + numbers}I{attributes}i"
        nodes.append((op, output, name.rstrip(b"\0"), struct.unpack_from(form, content, offset + 80)))
        offset += 80 + struct.calcsize(form)
    assert offset == len(content)
    assert nodes == [
        (1, 1, b"first", (0, 0, absent, 1, 2, absent, absent, 2, 1, 0, 0, 0, 0, 1, 1, 1, 3, 0)),
        (3, 2, b"sign", (1, 3)),
        (2, 3, b"dense", (2, 4, absent, absent, absent, absent, absent, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 1)),
    ]


def test_int8_convolutions() -> None:
    x, y = Value(4, 5, 3), Value(3, 4, 2)
    weight = np.random.default_rng(0).integers(-127, 128, (2, 2, 2, 3)).astype(np.int8)
    epilogue = Epilogue(scale=np.array([0.5, 2]))
    conv = ConvInt8("conv", [x], y, weight, Window((2, 2)), 1, epilogue, multiplier=12.75, zero_point=128)
    found = sections(serialize(Graph(x, [conv], {"logits": y}), {}))
    tensors = []
    for i in range(3):
        dtype, rank, *dims, offset, length = struct.unpack_from("<II4IQQ", found["TNSR"], 8 + 40 * i)
        tensors.append((dtype, dims[:rank], found["DATA"][offset : offset + length]))
    assert tensors == [
        (4, [2, 2, 2, 3], weight.tobytes()),
        (1, [2], struct.pack("<2f", 0.5, 2)),
        (1, [1], struct.pack("<f", 12.75)),
    ]
    node = struct.unpack_from("<5I60s18i", found["GRPH"], 80 + 2 * 16)
    assert node[:5] == (8, 1, 6, 11, 1)
    assert node[6:] == (0, 0, 1, -1, -1, -1, 2, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 128)


@given(arrays(np.int8, st.tuples(st.integers(1, 3), st.integers(1, 70)), elements=st.sampled_from([-1, 1])))
def test_signs_are_packed_as_the_page_says(signs: np.ndarray) -> None:
    words = pack_bits(signs < 0)
    expected = np.zeros((signs.shape[0], (signs.shape[1] + 31) // 32), np.uint32)
    for row, c in zip(*np.nonzero(signs == -1), strict=True):
        expected[row, c // 32] |= np.uint32(1) << np.uint32(c % 32)
    assert np.array_equal(words, expected)


def test_the_same_graph_gives_the_same_bytes() -> None:
    assert serialize(graph(), {"classes": ["a"]}) == serialize(graph(), {"classes": ["a"]})


def test_long_names_keep_their_end() -> None:
    source = graph()
    source.nodes[0].name = "stufe." * 20 + "größe.conv1"
    content = sections(serialize(source, {}))["GRPH"]
    name = struct.unpack_from("<60s", content, 144 + 20)[0]
    assert name[-1] == 0
    assert name.rstrip(b"\0").decode().endswith("größe.conv1")


def test_an_existing_file_stays(tmp_path) -> None:
    path = tmp_path / "m.obn"
    path.write_text("mine")
    with pytest.raises(OnebitError, match="exists already"):
        write(path, graph(), {})
    assert path.read_text() == "mine"
    assert write(path, graph(), {}, force=True) == path.stat().st_size
    assert [file.name for file in tmp_path.iterdir()] == ["m.obn"]


def test_nothing_is_left_when_the_disk_is_full(tmp_path, monkeypatch) -> None:
    def full(self, content: bytes) -> int:
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(type(tmp_path), "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "m.obn", graph(), {})
    assert not list(tmp_path.iterdir())


def value(*sides: int) -> Value:
    return Value(*sides)


def int8(x: Value, weight: np.ndarray, **options: float) -> ConvInt8:
    return ConvInt8("p", [x], value(4, 5, 1), weight, Window((1, 1)), **options)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda x: MaxPool("p", [x], value(2, 2, 3), Window((2, 2), padding=(2, 0, 0, 0))), "padding"),
        (lambda x: MaxPool("p", [x], value(9, 9, 3), Window((2, 2))), "its output is said"),
        (lambda x: MaxPool("p", [x], value(4, 1, 3), Window((1, 5), stride=(1, 2000))), "stride"),
        (lambda x: MaxPool("p", [x], value(4, 1, 3), Window((1, 5), dilation=(0, 1))), "dilation"),
        (lambda x: PadChannels("p", [x], value(4, 5, 2**25), 0, 2**25 - 3), "outside the format's limits"),
        (lambda x: Pointwise("p", [x, value(4, 5, 3)], value(4, 5, 3)), "no earlier layer makes"),
        (lambda x: Pointwise("p", [x], value(4, 5, 3), Epilogue(scale=np.array([1e39, 1, 1]))), "overflow float32"),
        (lambda x: ConvFloat("p", [x], value(4, 5, 1), np.ones((1, 1, 1, 2), np.float32), Window((1, 1))), "not fit"),
        (lambda x: int8(x, np.ones((1, 1, 1, 3), np.int8), multiplier=1e39), "in a byte"),
        (lambda x: int8(x, np.ones((1, 1, 1, 3), np.int8), zero_point=256), "in a byte"),
        (lambda x: int8(x, np.ones((1, 1, 1, 2**16 + 1), np.int8)), "overflow"),
    ],
)
def test_a_graph_outside_the_format_is_refused(make, reason: str) -> None:
    x = Value(4, 5, 3)
    node = make(x)
    with np.errstate(over="ignore"), pytest.raises(OnebitError, match=reason):
        serialize(Graph(x, [node], {"y": node.output}), {})


def test_an_output_of_bits_is_refused() -> None:
    source = graph()
    source.outputs = {"logits": source.nodes[1].output}
    with pytest.raises(OnebitError, match="not a float value"):
        serialize(source, {})
