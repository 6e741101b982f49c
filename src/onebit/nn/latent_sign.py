"""The cut of a network that goes on learning on a device: one bit per latent, before convolution and shortcut alike."""

from typing import Any

import torch
from torch import Tensor, nn

from onebit.errors import OnebitError
from onebit.nn.evaluating import evaluating
from onebit.quantize import sign


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor) -> Tensor:
        return sign(x) * scale.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class LatentSign(nn.Module):
    """The sign with a fixed magnitude in each channel.

    Forward: y = s_c sign(x), with sign(0) = +1. In training s_c is the running mean of |x_c|: the first batch sets it,
        later batches update it with a momentum of 0.1, and each batch is multiplied by the updated value. In evaluation
        it is constant.

    Gradient: dy/dx = 1 (straight through).

    ![forward and gradient](images/latent_sign.svg)

    The layers behind it can take stored bits as their input: new and replayed latents pass the same function. Without
    it a block binarises only the input of its convolution, and its shortcut reads real numbers. Put it into a network
    before training (:func:`insert_latent_sign`).

    Args:
        channels: size of dimension 1 of the input.

    Attributes:
        scale: float32 (channels,), s_c; a buffer, in the state dict.
        batches: int64, number of batches in training so far.

    Shapes: input and output (N, C, H, W).

    Reference: Vorabbi et al., "Enabling On-device Continual Learning with Binary Neural Networks", arXiv 2401.09916,
    stores the signs alone; the magnitude and the place before the shortcut are ours.

    Example:
        >>> cut = LatentSign(2)
        >>> cut(torch.tensor([-3.0, 1.0]).view(1, 2, 1, 1)).flatten()
        tensor([-3.,  1.])
        >>> cut.eval()(torch.tensor([7.0, -7.0]).view(1, 2, 1, 1)).flatten()
        tensor([ 3., -1.])
    """

    scale: Tensor
    batches: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(channels))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self._follow(x.detach())
        return _StraightThrough.apply(x, self.scale.view(-1, 1, 1))

    @torch.no_grad()
    def _follow(self, x: Tensor) -> None:
        mean = x.abs().mean(dim=(0, 2, 3))
        self.scale = mean.to(self.scale) if self.batches == 0 else self.scale.lerp(mean.to(self.scale), 0.1)
        self.batches += 1

    def extra_repr(self) -> str:
        return f"{len(self.scale)}"


def insert_latent_sign(net: nn.Module, at: str) -> LatentSign:
    """Puts a :class:`LatentSign` behind a module of a network, in place.

    Args:
        net: has ``input_shape`` (C, H, W), as the networks of ``onebit.models`` do.
        at: the module's name, such as ``stages.3.0``. It becomes an ``nn.Sequential`` of itself and the cut.

    Returns:
        The cut.

    Raises:
        OnebitError: there is no such module, or its output is not (N, C, H, W).

    Example:
        >>> from onebit import models
        >>> net = models.create("birealnet18", input_size=32)
        >>> insert_latent_sign(net, "stages.3.0")
        LatentSign(512)
        >>> net.stages[3][0][1]
        LatentSign(512)
    """
    parent, _, name = at.rpartition(".")
    try:
        module = net.get_submodule(at)
    except AttributeError:
        module = net
    if module is net:
        children = ", ".join(name for name, _ in net.named_children())
        raise OnebitError(
            f"there is no module {at!r} to put the cut behind",
            hint=f"name one, such as a block; at the top: {children}",
        )
    outputs: list[Any] = []
    handle = module.register_forward_hook(lambda _, inputs, output: outputs.append(output))
    try:
        with evaluating(net), torch.no_grad():
            net(torch.zeros(1, *net.input_shape))  # type: ignore[misc]
    finally:
        handle.remove()
    if len(outputs) != 1 or not isinstance(outputs[0], Tensor) or outputs[0].dim() != 4:
        raise OnebitError(f"the output of {at!r} is not one image (N, C, H, W)", hint="put the cut behind a block")
    cut = LatentSign(outputs[0].shape[1])
    setattr(net.get_submodule(parent), name, nn.Sequential(module, cut))
    return cut
