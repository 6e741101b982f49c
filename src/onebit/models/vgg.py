"""VGG-small, the plain network without shortcuts that the literature on CIFAR-10 compares with.

Reference: Zhang et al., "LQ-Nets", ECCV 2018, arXiv 1807.10029; here with one dense layer, in the form and from the
initial weights of the released codes of CycleBNN, IR-Net and ReCU.
"""

from torch import Tensor, nn

from onebit.models.layers import activation, conv3x3, real_conv
from onebit.models.registry import register
from onebit.nn import BinaryConv2d


class VGGSmall(nn.Module):
    """Six 3×3 convolutions (128, 128, 256, 256, 512, 512 channels; all but the first binary) for 32×32 images.

    The max-pools follow the second, fourth and sixth convolution, before BatchNorm. In the twin
    (``full_precision=True``) the binary convolutions are ``nn.Conv2d`` and ReLU stands for Hardtanh. Kernels start from
    N(0, 2 / 9O) with O the channels of the output, the dense layer from N(0, 0.01²) and a bias of 0.

    Args:
        num_classes: number of logits.
        full_precision: builds the twin.
    """

    def __init__(self, num_classes: int, full_precision: bool) -> None:
        super().__init__()
        self.input_shape = (3, 32, 32)
        layers = [real_conv(3, 128, 3), nn.BatchNorm2d(128), activation(full_precision)]
        channels = 128
        for width, pool in ((128, True), (256, False), (256, True), (512, False), (512, True)):
            layers.append(conv3x3(channels, width, 1, full_precision))
            if pool:
                layers.append(nn.MaxPool2d(2))
            layers += [nn.BatchNorm2d(width), activation(full_precision)]
            channels = width
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(512 * 4 * 4, num_classes)
        for layer in self.layers:
            if isinstance(layer, BinaryConv2d | nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out")
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x))


@register
def vgg_small(num_classes: int, full_precision: bool = False) -> VGGSmall:
    """VGG-small for 32×32 images."""
    return VGGSmall(num_classes, full_precision)
