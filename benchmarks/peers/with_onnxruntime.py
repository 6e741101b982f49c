"""ONNX Runtime: float32, and int8 by its own static quantisation (QDQ, per channel), calibrated on the images."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from worker import Setting


def versions() -> dict[str, str]:
    return {"onnxruntime": ort.__version__}


def prepare(folder: Path) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):
        def __init__(self) -> None:
            self._left: Iterator[Any] = iter(np.load(folder / "images.npy")[:, None])

        def get_next(self) -> dict[str, Any] | None:
            x = next(self._left, None)
            return None if x is None else {"x": x}

    shaped = folder / "resnet18_shaped.onnx"
    quant_pre_process(folder / "resnet18.onnx", shaped)
    quantize_static(
        shaped,
        folder / "resnet18_int8.onnx",
        Images(),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )


def settings(folder: Path, threads: int) -> list[Setting]:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    inputs = list(np.load(folder / "images.npy")[:, None])
    result = []
    for numbers, name in (("float32", "resnet18.onnx"), ("int8", "resnet18_int8.onnx")):
        session = ort.InferenceSession(folder / name, options, providers=["CPUExecutionProvider"])

        def run(x: Any, session: ort.InferenceSession = session) -> Any:
            return session.run(None, {"x": x})[0]

        result.append(Setting("ResNet-18", numbers, folder / name, inputs, run, folder / "resnet18.npy"))
    return result
