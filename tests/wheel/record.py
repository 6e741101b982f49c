"""Writes digits.json: held-out digits, and what digits.obn answers on the reference kernels.

``digits.obn`` is what ``onebit train recipes/digits_cyclebnn.yaml`` made, exported. Both files are kept, so that an
installed wheel is checked without PyTorch, and every later version against the answers of this one.
"""

import json
from pathlib import Path

import numpy as np

import onebit
from onebit.data.digits import Digits
from onebit.runtime.image import to_input

HERE = Path(__file__).parent
IMAGES = 20


def main() -> None:
    model = onebit.load(HERE / "digits.obn", isa="reference")
    images, labels = (part[:IMAGES].numpy() for part in Digits().test())
    inputs = [to_input(image, model.input_shape, model.mean, model.std) for image in images[:, 0]]
    x = np.stack(inputs).transpose(0, 3, 1, 2)
    record = {"images": images.reshape(IMAGES, -1).tolist(), "labels": labels.tolist(), "logits": model(x).tolist()}
    (HERE / "digits.json").write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
