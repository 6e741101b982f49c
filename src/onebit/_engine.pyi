"""The native engine's extension (native/bindings/engine.cpp)."""

from typing import Any, TypeVar

from numpy import float32, float64, int16, int32, int64, uint32
from numpy.typing import NDArray

Store = TypeVar("Store", float32, int16)

class Model:
    def __init__(self, path: bytes) -> None: ...
    @staticmethod
    def from_bytes(content: bytes) -> Model: ...
    @property
    def input(self) -> tuple[int, int, int]: ...
    @property
    def outputs(self) -> list[tuple[str, tuple[int, int, int]]]: ...
    @property
    def classes(self) -> list[str]: ...
    @property
    def layers(
        self,
    ) -> list[tuple[str, str, tuple[int, int, int], tuple[int, int, int], int, int, int, int]]: ...
    def text(self, key: str) -> str: ...
    def floats(self, key: str) -> list[float] | None: ...
    def integers(self, key: str) -> list[int] | None: ...
    @property
    def handle(self) -> Any: ...

class Session:
    def __init__(self, model: Model, batch: int, threads: int, isa: str, outputs: list[str]) -> None: ...
    def run(self, input: NDArray[float32], outputs: list[NDArray[float32]]) -> None: ...
    def profile(self) -> list[int]: ...
    @property
    def batch(self) -> int: ...
    @property
    def isa(self) -> str: ...
    @property
    def kernels(self) -> list[str]: ...
    @property
    def arena_bytes(self) -> int: ...
    @property
    def weight_bytes(self) -> int: ...

class Program:
    def __init__(self, model: Model, outputs: list[str]) -> None: ...
    @property
    def data(self) -> bytes: ...
    @property
    def arena_bytes(self) -> int: ...
    def run(self, input: NDArray[float32], outputs: list[NDArray[float32]]) -> None: ...

class Learner:
    def __init__(self, path: bytes, model: Any) -> None: ...
    @staticmethod
    def create(
        path: bytes, model: Any, max_classes: int, max_experiences: int, history: int, seed: int, replay: int
    ) -> None: ...
    def close(self) -> None: ...
    @property
    def classes(self) -> list[tuple[str, int]]: ...
    def prepare(
        self,
        features: NDArray[float32],
        names: list[str],
        experience: str,
        steps: int,
        batch: int,
        learning_rate: float,
        epochs: int,
        tail_rate: float,
        replayed: int,
    ) -> bool: ...
    def commit(self) -> None: ...
    def discard(self) -> None: ...
    def counted(self, experience: str) -> bool: ...
    def predict(self, features: NDArray[float32], probabilities: NDArray[uint32]) -> None: ...
    def forget(self, name: str) -> None: ...
    def rename(self, name: str, new_name: str) -> None: ...
    def rollback(self, commits: int) -> None: ...
    @property
    def input(self) -> str: ...
    @property
    def replay(self) -> tuple[int, int]: ...
    @property
    def tail_operations(self) -> int: ...
    @property
    def found(self) -> dict[str, int]: ...
    def check(self) -> dict[str, int]: ...

class Products:
    def __init__(self, threads: int, isa: str) -> None: ...
    @property
    def isa(self) -> str: ...
    def pack(self, values: NDArray[float32], words: NDArray[int32]) -> bool: ...
    def forward(
        self,
        shape: tuple[int, ...],
        x: NDArray[float32],
        weight: NDArray[int32],
        bits: NDArray[int32],
        output: NDArray[float32],
    ) -> None: ...
    def backward(
        self,
        shape: tuple[int, ...],
        gradient: NDArray[float32],
        levels: int,
        seed: int,
        weight: NDArray[int32],
        bits: NDArray[int32],
        x: NDArray[float32] | None,
        estimator: int,
        input_gradient: NDArray[float32] | None,
        weight_gradient: NDArray[float32] | None,
    ) -> None: ...

class Fused:
    """Passes of a unit in training (native/src/training/unit.h): ``Store`` is float32, or bfloat16 seen as int16."""

    def __init__(self, threads: int, isa: str) -> None: ...
    @property
    def isa(self) -> str: ...
    def pack(
        self, weight: NDArray[float32], bits: NDArray[int32], magnitude: NDArray[float32] | None = None
    ) -> bool: ...
    def along_signs(
        self, bits: NDArray[int32], magnitude: NDArray[float32], exact: NDArray[float32], gradient: NDArray[float32]
    ) -> None: ...
    def signs(
        self, x: NDArray[Store], threshold: NDArray[float32] | None, per_sample: bool, bits: NDArray[int32]
    ) -> None: ...
    def statistics(self, x: NDArray[Store], statistics: NDArray[float64]) -> None: ...
    def convolve(
        self,
        shape: tuple[int, ...],
        bits: NDArray[int32],
        weight: NDArray[int32],
        y: NDArray[int16],
        sums: NDArray[int64],
    ) -> None: ...
    def normalize(
        self,
        y: NDArray[int16],
        slope: NDArray[float32],
        offset: NDArray[float32],
        residual: NDArray[Store] | None = None,
        activation: int = 0,
        parameters: NDArray[float32] | None = None,
        z: NDArray[Store] | None = None,
        x: NDArray[Store] | None = None,
        threshold: NDArray[float32] | None = None,
        bits: NDArray[int32] | None = None,
        statistics: NDArray[float64] | None = None,
    ) -> None: ...
    def shortcut(self, x: NDArray[Store], side: int, before: int, output: NDArray[Store]) -> None: ...
    def shortcut_gradient(self, gradient: NDArray[Store], side: int, before: int, x: NDArray[Store]) -> None: ...
    def gradient(
        self,
        g: NDArray[Store],
        x: NDArray[Store] | None,
        activation: int,
        parameters: NDArray[float32] | None,
        y: NDArray[int16],
        mean: NDArray[float32],
        dz: NDArray[Store],
        sums: NDArray[float64],
    ) -> None: ...
    def backward(
        self,
        shape: tuple[int, ...],
        dz: NDArray[Store],
        y: NDArray[int16],
        k: NDArray[float32],
        levels: int,
        seed: int,
        weight: NDArray[int32],
        bits: NDArray[int32],
        dw: NDArray[float32] | None,
        output: NDArray[Store] | None,
        estimator: int = 0,
        estimator_parameters: NDArray[float32] | None = None,
        source: NDArray[Store] | None = None,
        front_y: NDArray[int16] | None = None,
        front_slope: NDArray[float32] | None = None,
        front_offset: NDArray[float32] | None = None,
        threshold: NDArray[float32] | None = None,
        samples: NDArray[float32] | None = None,
        shortcut: NDArray[Store] | None = None,
        activation: int = 0,
        parameters: NDArray[float32] | None = None,
        front_z: NDArray[Store] | None = None,
        front_mean: NDArray[float32] | None = None,
        sums: NDArray[float64] | None = None,
    ) -> None: ...

TEACH_DEFAULTS: tuple[int, int, float, int, float, int]
REPLAY_DEFAULT: int

def training_isa(isa: str) -> str | None: ...
def unfit_for_training(shape: tuple[int, ...]) -> str | None: ...
def unfit_for_fusing(shape: tuple[int, ...]) -> str | None: ...
def batch_norm(
    sums: NDArray[int64],
    count: int,
    magnitude: NDArray[float32] | None,
    scale: NDArray[float32] | None,
    gamma: NDArray[float32] | None,
    beta: NDArray[float32] | None,
    epsilon: float,
    state: NDArray[float64],
    coefficients: NDArray[float32],
) -> None: ...
def centre_sums(state: NDArray[float64], mean: NDArray[float32], sums: NDArray[float64]) -> None: ...
def batch_norm_gradient(
    state: NDArray[float64],
    count: int,
    epsilon: float,
    sums: NDArray[float64],
    total: NDArray[float64],
    magnitude: NDArray[float32] | None,
    k: NDArray[float32],
    gradients: NDArray[float32],
) -> None: ...
def cyclic_thresholds(
    deviation: NDArray[float32], minimum: float, step: float, bits: int, threshold: NDArray[float32]
) -> None: ...
def isas() -> list[str]: ...
def rates(isa: str) -> tuple[float, float, float, float]: ...
def level_rate(isa: str) -> float: ...
def crc32c(data: bytes, init: int = 0) -> int: ...
