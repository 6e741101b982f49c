"""Checks an installed onebit beside which nothing is but what it brings: ``python tests/wheel/check.py``.

A trained network gives the recorded answers, bit for bit, on every instruction set of this machine; it is inspected,
run and taught from the command line; the learner's files are locked and survive. The folder has a name outside ASCII.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import onebit
from onebit import _engine
from onebit.runtime.image import to_input

HERE = Path(__file__).parent
MODEL = HERE / "digits.obn"
RECORD = json.loads((HERE / "digits.json").read_text())
IMAGES = np.array(RECORD["images"], np.uint8).reshape(-1, 8, 8)


def check_answers() -> None:
    expected = np.array(RECORD["logits"], np.float32)
    for isa in _engine.isas():
        for threads in (1, 2):
            model = onebit.load(MODEL, isa=isa, threads=threads)
            images = np.stack([to_input(image, model.input_shape, model.mean, model.std) for image in IMAGES])
            logits = model(images.transpose(0, 3, 1, 2))
            assert np.array_equal(logits, expected), f"{isa}: logits differ by {np.abs(logits - expected).max()}"
    assert (expected.argmax(axis=1) == RECORD["labels"]).mean() >= 0.9


def command(*words: object) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "onebit", *map(str, words), "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"onebit {words[0]}: {done.stderr}{done.stdout}"
    return json.loads(done.stdout)


def check_commands(folder: Path) -> None:
    images = folder / "new classes" / "zero"
    images.mkdir(parents=True)
    for i, (image, label) in enumerate(zip(IMAGES, RECORD["labels"], strict=True)):
        Image.fromarray(image).save(folder / f"{i}.png")
        if label == 0:
            Image.fromarray(image).save(images / f"{i}.png")
    model = folder / "mödel.obn"
    model.write_bytes(MODEL.read_bytes())

    assert command("doctor")["isa"] == _engine.isas()[0]
    assert command("inspect", model)["layers"]
    answers = command("run", model, *(folder / f"{i}.png" for i in range(len(IMAGES))))["images"]
    expected = np.array(RECORD["logits"]).argmax(axis=1)
    assert [int(answer["label"]) for answer in answers] == expected.tolist()
    command("learn", "new", folder / "store", model)
    command("learn", "teach", folder / "store", images.parent, "--experience", "monday")
    assert "zero" in [row["name"] for row in command("learn", "show", folder / "store")["classes"]]


def refusal(call: Callable[[], object]) -> str:
    """What the error of ``call`` says, or nothing."""
    try:
        call()
    except onebit.OnebitError as problem:
        return problem.message
    return ""


def check_learner(folder: Path) -> None:
    with onebit.Learner.open(folder / "store") as learner:
        assert "in use" in refusal(lambda: onebit.Learner.open(folder / "store"))
        before = learner.classes
        learner.teach(list(IMAGES[:4]), "one more", experience="tuesday")
        learner.rollback()
        assert learner.classes == before
    with onebit.Learner.open(folder / "store") as again:
        assert again.classes == before
        assert again.check()["damaged"] == 0


def main() -> None:
    check_answers()
    assert not {"torch", "matplotlib", "sklearn"} & set(sys.modules)
    with tempfile.TemporaryDirectory(prefix="täst ") as name:
        check_commands(Path(name))
        check_learner(Path(name))
    print(f"onebit {onebit.__version__} works on Python {sys.version.split()[0]}: {', '.join(_engine.isas())}")


if __name__ == "__main__":
    main()
