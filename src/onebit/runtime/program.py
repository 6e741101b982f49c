"""A packed model compiled for a device without an operating system: no heap, no files, no threads."""

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from onebit import _engine
from onebit.errors import OnebitError
from onebit.runtime.model import Model


class Program:
    """A model as steps and constants that ``onebit/embedded.h`` runs in place, in flash, one sample at a time.

    Args:
        model: what to compile.
        outputs: names of the outputs that the program is to have; all by default. Only what they need is in it.

    Attributes:
        data: the program, little-endian. On the device it lies at a multiple of 64.
        arena_bytes: memory that a run takes on the device, beside its stack.
        outputs: name -> (C, H, W), in the program's order.

    Raises:
        OnebitError: there is no such output, or it is the model's input.

    Example:
        >>> from onebit import deploy, load, models
        >>> import torch
        >>> path = getfixture("tmp_path") / "digits.obn"
        >>> _ = deploy.export(models.create("small"), path, torch.randn(2, 1, 8, 8))
        >>> model = load(path)
        >>> program = Program(model, ["logits"])
        >>> x = np.zeros((1, 8, 8), np.float32)
        >>> bool((program(x)["logits"][:, 0, 0] == model(x[None])[0]).all())
        True
    """

    def __init__(self, model: Model, outputs: Sequence[str] = ()) -> None:
        self._model = model
        self._native = _engine.Program(model.native, list(outputs))
        self.data = self._native.data
        self.arena_bytes = self._native.arena_bytes
        self.outputs = {name: model.outputs[name] for name in outputs or model.outputs}

    def __call__(self, x: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Runs the program here: the bits that the device will give.

        Args:
            x: float32 (C, H, W), normalised as in training.

        Returns:
            For each output, float32 (C, H, W).

        Raises:
            OnebitError: another shape or dtype.
        """
        if x.dtype != np.float32 or x.shape != self._model.input_shape:
            raise OnebitError(
                f"the input is {x.dtype} {x.shape} and must be float32 {self._model.input_shape}",
                hint="a program takes one sample",
            )
        results = [
            np.empty((1, height, width, channels), np.float32) for channels, height, width in self.outputs.values()
        ]
        self._native.run(np.ascontiguousarray(x.transpose(1, 2, 0))[None], results)
        return {name: result[0].transpose(2, 0, 1) for name, result in zip(self.outputs, results, strict=True)}

    def c_header(self, name: str) -> str:
        """The program as a C header: a constant array, and what a firmware has to know to use it.

        Args:
            name: what its identifiers begin with; letters, digits and underscores stay as they are.
        """
        model = self._model
        name = c_identifier(name)
        upper = name.upper()
        channels, height, width = model.input_shape
        shapes = (f"{i}: {text}, {h} x {w} x {c} floats" for i, (text, (c, h, w)) in enumerate(self.outputs.items()))
        lines = [
            f"/* {_comment(model.path.name)}, compiled for onebit/embedded.h. Include this file in one source only.",
            " *",
            f" * input: {height} x {width} x {channels} floats, channels innermost, each (pixel / 255 - mean) / std",
            *(f" * output {_comment(shape)}" for shape in shapes),
            f" * sha256 of the weights: {model.sha256} */",
            f"#ifndef {upper}_H",
            f"#define {upper}_H",
            "",
            "#include <stdint.h>",
            "",
            f"#define {upper}_ARENA_BYTES {self.arena_bytes}",
            f"#define {upper}_INPUT_FLOATS {channels * height * width}",
            "",
            f"static const float {name}_mean[{channels}] = {{{_floats(model.mean)}}};",
            f"static const float {name}_std[{channels}] = {{{_floats(model.std)}}};",
        ]
        if model.classes:
            lines.append(f"static const char* const {name}_classes[{len(model.classes)}] = {{")
            lines.extend(f"    {_string(label)}," for label in model.classes)
            lines.append("};")
        lines.append(f"static const uint8_t {name}_program[{len(self.data)}] __attribute__((aligned(64))) = {{")
        lines.extend("    " + ",".join(map(str, self.data[i : i + 24])) + "," for i in range(0, len(self.data), 24))
        return "\n".join([*lines, "};", "", "#endif", ""])


def c_identifier(name: str) -> str:
    """``name`` with all else than letters, digits and underscores replaced, and a letter first.

    Example:
        >>> c_identifier("my-net.v2"), c_identifier("8x8")
        ('my_net_v2', 'model_8x8')
    """
    name = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return name if re.match("[A-Za-z]", name) else f"model_{name}"


def _comment(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode().replace("*/", "* /").replace("\n", " ")


def _floats(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number!r}f" for number in numbers)


def _string(text: str) -> str:
    plain = set(range(0x20, 0x7F)) - set(b'"\\?')
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'
