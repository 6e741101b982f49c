"""OpenVINO: float32, bfloat16 where the CPU has it, and int8 from the file that ONNX Runtime's tool quantised.

ONEDNN_MAX_CPU_ISA=AVX2 in the environment holds it to AVX2 (bfloat16 cannot run so).
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from worker import Setting


def versions() -> dict[str, str]:
    return {"openvino": ov.__version__}


def settings(folder: Path, threads: int) -> list[Setting]:
    isa = os.environ.get("ONEDNN_MAX_CPU_ISA", "").lower()
    core = ov.Core()
    bfloat = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") and not isa
    inputs = list(np.load(folder / "images.npy")[:, None])
    result = []
    for numbers, name, hint in (
        ("float32", "resnet18.onnx", "f32"),
        *([("bfloat16", "resnet18.onnx", "bf16")] if bfloat else []),
        ("int8", "resnet18_int8.onnx", "f32"),
    ):
        properties = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": hint,
        }
        request = core.compile_model(folder / name, "CPU", properties).create_infer_request()

        def run(x: Any, request: ov.InferRequest = request) -> Any:
            return request.infer({0: x}, share_inputs=True, share_outputs=True)[0]

        result.append(Setting("ResNet-18", numbers, folder / name, inputs, run, folder / "resnet18.npy", isa=isa))
    return result
