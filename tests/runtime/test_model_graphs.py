"""The engine against a numpy transcription of the format page: the same bits on every instruction set."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import onebit
from onebit import _engine
from tests.runtime import transcription
from tests.runtime.graphs import graphs


def channels_first(y: np.ndarray) -> np.ndarray:
    return y[:, 0, 0] if y.shape[1] == y.shape[2] == 1 else y.transpose(0, 3, 1, 2)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("graphs") / "m.obn"


@pytest.mark.parametrize("isa", _engine.isas())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=graphs(), samples=st.integers(1, 3), threads=st.integers(1, 3))
def test_answers_as_the_transcription(path, isa, case, samples, threads):
    graph, rng = case
    path.unlink(missing_ok=True)  # a mapped file may not be changed in place
    path.write_bytes(graph.to_bytes())
    x = rng.standard_normal((samples, *graph.values[0][1:])).astype(np.float32)
    with np.errstate(all="ignore"):
        expected = transcription.run(graph, x)
    model = onebit.load(path, isa=isa, threads=threads)
    assert model.isa == isa
    for name, y in expected.items():
        np.testing.assert_array_equal(model(x.transpose(0, 3, 1, 2), name), channels_first(y), err_msg=name)
