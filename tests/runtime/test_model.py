"""What a loaded model says about itself, what it answers, and what it refuses."""

import copy
import hashlib
import pickle
import shutil
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import onebit
from onebit import OnebitError, _engine
from onebit.runtime.model import _channels_last
from onebit.runtime.sessions import Sessions
from tests.runtime import transcription
from tests.runtime.samples import CLASSES, classifier


@pytest.fixture
def model(classifier_path):
    return onebit.load(classifier_path)


@pytest.fixture
def x():
    return np.random.default_rng(1).standard_normal((5, 3, 8, 8)).astype(np.float32)


def test_it_says_what_it_is(model, classifier_path):
    assert model.input_shape == (3, 8, 8)
    assert model.outputs == {"features": (32, 1, 1), "logits": (4, 1, 1)}
    assert model.classes == tuple(CLASSES)
    assert model.class_samples == [10, 20, 30, 40]
    assert model.features_range == [0.0, 9.0]
    assert (model.mean, model.std) == ((0.5,) * 3, (0.25,) * 3)
    assert model.provenance == {"recipe": "none"}
    assert model.report == {"layers": []}
    assert model.isa == _engine.isas()[0]
    content = classifier_path.read_bytes()
    places = [struct.unpack_from("<QQ", content, 64 + 24 * i + 8) for i in (1, 2, 3)]
    assert model.sha256 == hashlib.sha256(b"".join(content[o : o + n] for o, n in places)).hexdigest()


def test_layers(model):
    assert [layer.kind for layer in model.layers] == [
        "conv_float", "binarize", "conv_binary", "binarize", "conv_binary", "average_pool", "conv_float",
    ]  # fmt: skip
    layer = model.layers[2]
    assert (layer.input_shape, layer.output_shape, layer.weight_bits) == ((32, 8, 8), (32, 8, 8), 1)
    assert layer.bytes == 32 * 9 * 4 + 32 * 4
    assert layer.operations == 22 * 22 * 32 * 32  # 3 taps at each of 8 positions, but 2 at the two ends


@pytest.mark.parametrize("channels", [1, 3, 4, 5, 64])
def test_images_are_put_channels_last(channels):
    x = np.random.default_rng(channels).standard_normal((2, channels, 3, 5)).astype(np.float32)
    images = _channels_last(x)
    np.testing.assert_array_equal(images, x.transpose(0, 2, 3, 1))
    assert images.flags.c_contiguous
    assert images.dtype == np.float32


def test_the_sessions_of_a_process_run_the_same_kernels(model, classifier_path):
    kernels = model.sessions.open(["logits"], 1).kernels
    assert len(kernels) == len(model.layers)
    assert kernels[1] == kernels[5] == model.isa, "what is no convolution"
    assert all(" " in kernels[i] for i in (0, 2, 4, 6)), "an instruction set and what it does there"
    assert onebit.load(classifier_path).sessions.open(["features"], 3).kernels == kernels


@pytest.mark.parametrize("output", ["logits", "features"])
def test_any_batch_gives_the_transcription_bit_for_bit(model, x, output):
    large = np.concatenate([x * np.float32(k) for k in range(30)])  # more than one bulk
    expected = transcription.run(classifier(), large.transpose(0, 2, 3, 1))[output][:, 0, 0]
    for n in (0, 1, 2, 5, 150):
        np.testing.assert_array_equal(model(large[:n], output), expected[:n])


def test_the_environment_chooses_the_instruction_set(classifier_path, monkeypatch):
    monkeypatch.setenv("ONEBIT_ISA", "reference")
    assert onebit.load(classifier_path).isa == "reference"
    monkeypatch.setenv("ONEBIT_ISA", "abacus")
    with pytest.raises(OnebitError, match=r"no instruction set 'abacus' .it has: .*reference"):
        onebit.load(classifier_path)


def test_loading_and_the_first_image_plan_once(classifier_path, x, monkeypatch):
    plan, planned = Sessions.open, []

    def count(sessions, outputs, batch):
        planned.append((outputs, batch))
        return plan(sessions, outputs, batch)

    monkeypatch.setattr(Sessions, "open", count)
    model = onebit.load(classifier_path)
    model(x[:1])
    assert planned == [(["logits"], 1)]


@pytest.mark.parametrize("threads", [1, 2])
def test_many_python_threads_share_one_model(classifier_path, x, threads):
    model = onebit.load(classifier_path, threads=threads)
    expected = model(x)
    inputs = [np.roll(x, i, axis=0)[: 1 + i % 5] for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        for i, answer in enumerate(pool.map(model, inputs)):
            np.testing.assert_array_equal(answer, np.roll(expected, i, axis=0)[: 1 + i % 5])


def test_a_session_outlives_its_model(classifier_path, x):
    model = onebit.load(classifier_path)
    expected = model(x[:1])
    session = model.sessions.open(["logits"], 1)
    del model
    answer = np.empty((1, 1, 1, 4), np.float32)
    session.run(np.ascontiguousarray(x[:1].transpose(0, 2, 3, 1)), [answer])
    np.testing.assert_array_equal(answer[:, 0, 0], expected)


def test_a_session_refuses_arrays_of_other_sizes(model):
    session = model.sessions.open(["logits"], 1)
    x, y = np.zeros((1, 8, 8, 3), np.float32), np.zeros((1, 1, 1, 4), np.float32)
    for inputs, outputs in ((x[:, :7].copy(), [y]), (x, [y[..., :3].copy()]), (x, [y, y]), (x, [])):
        with pytest.raises(ValueError, match="shapes"):
            session.run(inputs, outputs)
    with pytest.raises(OnebitError, match="number of samples"):
        session.run(np.repeat(x, 2, axis=0), [np.repeat(y, 2, axis=0)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.astype(np.float64), "float64 and must be float32"),
        (lambda x: x[0], r"shape \(3, 8, 8\) and must be \(N, 3, 8, 8\)"),
        (lambda x: x[:, :, :7], "shape"),
        (lambda x: x.transpose(0, 2, 3, 1), "shape"),
        (lambda x: x.tolist(), "list is no numpy array"),
        (lambda x: np.where(np.arange(5)[:, None, None, None] == 3, np.float32(np.nan), x), "sample 3 .* NaN"),
        (lambda x: x * np.float32(np.inf), "sample 0 .* infinity"),
    ],
)
def test_wrong_input_is_refused(model, x, change, message):
    with pytest.raises(OnebitError, match=message), np.errstate(invalid="ignore"):
        model(change(x))


def test_wrong_arguments_are_refused(model, x, classifier_path):
    with pytest.raises(OnebitError, match=r"no output 'boxes' .its outputs: features, logits"):
        model(x, "boxes")
    for threads in (0, 257):
        with pytest.raises(OnebitError, match="outside 1 to 256"):
            onebit.load(classifier_path, threads=threads)


def test_importing_onebit_loads_no_torch():
    code = "import onebit, sys; assert not {'torch', 'PIL', 'lightning'} & set(sys.modules), sorted(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_model_is_handed_on_as_its_file(model, x, classifier_path, tmp_path, monkeypatch):
    shutil.copy(classifier_path, tmp_path / "m.obn")
    monkeypatch.chdir(tmp_path)
    model = onebit.load("m.obn", threads=2)
    content = pickle.dumps(model)
    monkeypatch.chdir("/")
    for other in (pickle.loads(content), copy.deepcopy(model)):
        assert np.array_equal(other(x), model(x))
        assert (other.threads, other.isa) == (2, model.isa)
    (tmp_path / "m.obn").unlink()
    with pytest.raises(OnebitError, match="No such file"):
        pickle.loads(content)
