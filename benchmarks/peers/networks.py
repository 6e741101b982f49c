"""The photographs, and the networks that the engines run on them."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from onebit import deploy, models
from onebit.errors import OnebitError
from onebit.runtime.image import SUFFIXES, to_input

SHAPE, CLASSES = (3, 224, 224), 1000
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's


def photographs(folder: Path) -> Tensor:
    """Every image of a folder, stretched to 224 x 224 and normalised; float32 (N, 3, 224, 224)."""
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise OnebitError(f"{folder}: no images", hint="set ONEBIT_DATA, or name a folder of photographs with --images")
    images = np.stack([to_input(path, SHAPE, MEAN, STD) for path in paths])
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


@torch.no_grad()
def make_networks(folder: Path, x: Tensor, seed: int) -> None:
    """The peers' network as ONNX and as weights, ours packed; beside each the answers of PyTorch."""
    torch.manual_seed(seed)
    net = fitted(models.create("resnet18_imagenet", CLASSES, full_precision=True), x)
    np.save(folder / "resnet18.npy", net(x).numpy())
    torch.save(net.state_dict(), folder / "resnet18.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the exporter that folds BatchNorm itself
        names: dict[str, Any] = {"input_names": ["x"], "output_names": ["y"]}
        torch.onnx.export(net, (x[:1],), folder / "resnet18.onnx", dynamo=False, opset_version=17, **names)
    for name in ("birealnet18", "reactnet18"):
        net = fitted(models.create(name, CLASSES), x)
        np.save(folder / f"{name}.npy", net(x).numpy())
        for suffix, numbers in (("", "float32"), ("_int8", "int8")):
            path = folder / f"{name}{suffix}.obn"
            report = deploy.export(net, path, x, mean=MEAN, std=STD, real_valued=numbers, force=True)
        left = [layer.name for layer in report.layers if layer.kind == "conv_float"]
        if left:
            raise OnebitError(f"{name} has real-valued layers that could not go to int8: {', '.join(left)}")


def fitted(net: nn.Module, x: Tensor) -> nn.Module:
    """The network in evaluation mode, its BatchNorm statistics and the classes of its head those of the images."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches, here one
    net.train()(x)
    net.eval()
    seen: list[Tensor] = []
    head = net.get_submodule("head")
    with head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])):
        net(x)
    features = torch.cat([seen[0], torch.ones(len(x), 1)], dim=1)
    solved = torch.linalg.lstsq(features, torch.eye(len(x), CLASSES), driver="gelsd").solution  # of the least norm
    head.get_parameter("weight").copy_(solved[:-1].T)
    head.get_parameter("bias").copy_(solved[-1])
    return net
