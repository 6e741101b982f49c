"""Blocks and methods that the tests of fused training combine."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from onebit import methods
from onebit.methods import Method
from onebit.models.birealnet import BiRealBlock
from onebit.models.reactnet import MobileBlock, ReActBlock
from onebit.models.resnet import CifarBlock, ImageNetBlock, IRNetBlock, ReCUBlock
from onebit.models.resnet_he import BasicBlock
from onebit.models.small import SmallBlock
from onebit.nn import Block, RPReLU, RSign
from onebit.quantize import GradientQuantizer, IdentitySign, Sign, SwishSign

BLOCKS: dict[str, Callable[[], Block]] = {
    "cifar": lambda: CifarBlock(8, 8, 1, False),
    "cifar_strided": lambda: CifarBlock(8, 16, 2, False),
    "imagenet": lambda: ImageNetBlock(8, 8, 1, False),
    "imagenet_strided": lambda: ImageNetBlock(8, 16, 2, False),
    "irnet_strided": lambda: IRNetBlock(8, 16, 2, False),
    "recu_strided": lambda: ReCUBlock(8, 16, 2, False),
    "he_strided": lambda: BasicBlock(8, 16, 2, False),
    "bireal": lambda: BiRealBlock(8, 8, 1, False),
    "bireal_strided": lambda: BiRealBlock(8, 16, 2, False),
    "react": lambda: ReActBlock(8, 8, 1, False),
    "mobile": lambda: MobileBlock(8, 8, 1, 0, False),
    "mobile_wider": lambda: MobileBlock(8, 16, 2, 0, False),
    "mobile_real": lambda: MobileBlock(8, 16, 2, 4, False),
    "small": lambda: SmallBlock(8, False, False),
    "small_wider": lambda: SmallBlock(8, True, False),
}


class Quantizers(Method):
    """Puts one input quantiser into each layer."""

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        self.make = make

    def attach(self, net: nn.Module) -> None:
        for layer in methods.base.require_binary_layers(net, "test"):
            layer.input_quantizer = self.make()

    def cost_rule(self) -> None:  # type: ignore[override]
        return None


METHODS: dict[str, Callable[[], Method | None]] = {
    "plain": lambda: None,
    "clipped": lambda: Quantizers(Sign),
    "identity": lambda: Quantizers(IdentitySign),
    "swish": lambda: Quantizers(SwishSign),
    "bireal": methods.BiReal,
    "irnet": methods.IRNet,
    "recu": methods.ReCU,
    "cyclebnn": methods.CycleBNN,
    "cyclebnn_consistent": lambda: methods.CycleBNN(scaling="consistent", recu_clamp=True),
    "rbonn": methods.RBONN,
    "rbonn_paper": lambda: methods.RBONN(variant="paper"),
    "cyclebnn_rbonn": lambda: methods.Compose([methods.CycleBNN(), methods.RBONN()]),
}


def made(block: str, method: str, seed: int = 0, epsilon: float = 0.5) -> nn.Sequential:
    """A block in training, with parameters that are nowhere special, in an ``nn.Sequential``.

    A large epsilon of BatchNorm: otherwise the gradient of a scale nearly vanishes, and no error in it would show.
    """
    torch.manual_seed(seed)
    net = nn.Sequential(BLOCKS[block]())
    attached = METHODS[method]()
    if attached is not None:
        attached.attach(net)
        attached.step(3, 10)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = epsilon
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.5, 0.5)
        elif isinstance(module, RPReLU):
            for parameter, low, high in ((module.gamma, -0.3, 0.3), (module.beta, -0.1, 0.5), (module.zeta, -0.3, 0.3)):
                parameter.data.uniform_(low, high)
        elif isinstance(module, RSign):
            module.alpha.data.uniform_(-0.3, 0.3)
    return net


def exact_twin(net: nn.Sequential) -> nn.Sequential:
    """A copy in float64 whose gradients are not quantised, or hardly."""
    twin = copy.deepcopy(net).double()
    for module in twin.modules():
        if isinstance(module, GradientQuantizer):
            module.bits = 24
    return twin


def gradients(net: nn.Module, x: Tensor, g: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The output, and all gradients by name; "" is the input's."""
    net.zero_grad()
    x = x.detach().clone().requires_grad_()
    y = net(x)
    y.backward(g.to(y.dtype))
    assert x.grad is not None
    found = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    return y.detach(), {"": x.grad, **found}
