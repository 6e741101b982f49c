"""ResNet-34 with torch hub's names: the first and last of each kind, as its state dicts list them."""

import torch

from onebit import models


def test_names_and_shapes_are_those_of_torch_hub() -> None:
    with torch.device("meta"):
        net = models.create("resnet34_he", num_classes=1000, full_precision=True)
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    assert len(shapes) == 218
    expected = {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.running_mean": (64,),
        "layer1.0.conv1.weight": (64, 64, 3, 3),
        "layer2.0.downsample.0.weight": (128, 64, 1, 1),
        "layer2.0.downsample.1.weight": (128,),
        "layer3.5.bn2.num_batches_tracked": (),
        "layer4.2.conv2.weight": (512, 512, 3, 3),
        "head.weight": (1000, 512),
        "head.bias": (1000,),
    }
    assert expected.items() <= shapes.items()
