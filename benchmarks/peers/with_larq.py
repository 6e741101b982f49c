"""Larq Compute Engine: its own Bi-Real-Net-18 and QuickNet, in the fastest setting of its own interpreter.

Untrained, the BatchNorm statistics those of the images. It recommends ARM; on x86 its default kernel is a plain one and
the indirect kernel several times faster, so that the choice is left to the clock.
"""

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.update(TF_USE_LEGACY_KERAS="1", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")

import numpy as np
from larq_compute_engine.tflite.python.interpreter import Interpreter
from worker import Setting, fastest

NETWORKS = {"larq_birealnet18": "Bi-Real-Net-18", "larq_quicknet": "QuickNet"}


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("larq-compute-engine", "larq-zoo", "tensorflow")}


def prepare(folder: Path) -> None:
    import larq_compute_engine as lce
    import larq_zoo
    import tensorflow as tf

    images = _images(folder)
    tf.keras.utils.set_random_seed(0)
    for name, build in (
        ("larq_birealnet18", larq_zoo.literature.BiRealNet),
        ("larq_quicknet", larq_zoo.sota.QuickNet),
    ):
        net = build(weights=None)
        for layer in net.layers:
            if isinstance(layer, tf.keras.layers.BatchNormalization):
                layer.momentum = 0.0
        net(images, training=True)
        np.save(folder / f"{name}.npy", net(images, training=False).numpy())
        (folder / f"{name}.tflite").write_bytes(lce.convert_keras_model(net))


def settings(folder: Path, threads: int) -> list[Setting]:
    inputs = [[x] for x in _images(folder)[:, None]]
    result = []
    for name, network in NETWORKS.items():
        path = folder / f"{name}.tflite"
        content = path.read_bytes()
        variants = {
            f"{kernel} kernel{delegate}": _way(content, threads, kernel == "indirect", bool(delegate))
            for kernel in ("indirect", "default")
            for delegate in ("", ", XNNPACK")
        }
        how, run = fastest(variants, inputs[0])
        result.append(Setting(network, "1 bit, float32", path, inputs, run, folder / f"{name}.npy", how=how))
    return result


def _way(content: bytes, threads: int, indirect: bool, xnnpack: bool) -> Any:
    interpreter = Interpreter(content, num_threads=threads, use_indirect_bgemm=indirect, use_xnnpack=xnnpack)
    return lambda x: interpreter.interpreter.predict(x)[0]  # the wrapper above it splits the batch in Python


def _images(folder: Path) -> Any:
    return np.ascontiguousarray(np.load(folder / "images.npy").transpose(0, 2, 3, 1))
