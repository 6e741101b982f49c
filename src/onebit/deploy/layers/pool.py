"""Pooling, and channels of zeros."""

from torch import nn

from onebit.deploy.convert import Site, Wire, convert, pair
from onebit.format.graph import AveragePool, MaxPool, PadChannels
from onebit.format.window import Window
from onebit.nn import PadChannels as PadChannelsLayer


@convert.register
def _pad_channels(module: PadChannelsLayer, site: Site) -> Wire:
    _need_image(site)
    return site.add(PadChannels(site.name, [site.wire.value], site.output(), module.before, module.after))


@convert.register
def _max_pool(pool: nn.MaxPool2d, site: Site) -> Wire:
    if pair(pool.dilation) != (1, 1) or pool.return_indices:
        site.refuse("dilation and return_indices are not known")
    return site.add(MaxPool(site.name, [site.wire.value], site.output(), _pool_window(pool, site)))


@convert.register
def _average_pool(pool: nn.AvgPool2d, site: Site) -> Wire:
    window = _pool_window(pool, site)
    padded = any(pair(pool.padding))
    if pool.divisor_override is not None:
        site.refuse("divisor_override is not known")
    if padded and pool.count_include_pad and pool.ceil_mode:
        site.refuse("ceil_mode together with counted padding is not known")
    count_padding = padded and pool.count_include_pad
    return site.add(AveragePool(site.name, [site.wire.value], site.output(), window, count_padding))


@convert.register
def _adaptive_average_pool(pool: nn.AdaptiveAvgPool2d, site: Site) -> Wire:
    _need_image(site)
    value, output = site.wire.value, site.output()
    if value.h % output.h or value.w % output.w:
        site.refuse(f"{value.h} x {value.w} is not a multiple of {output.h} x {output.w}")
    kernel = (value.h // output.h, value.w // output.w)
    return site.add(AveragePool(site.name, [value], output, Window(kernel, stride=kernel)))


def _need_image(site: Site) -> None:
    if site.x.dim() != 4:
        site.refuse(f"its input has {site.x.dim()} dimensions, not 4")


def _pool_window(pool: nn.MaxPool2d | nn.AvgPool2d, site: Site) -> Window:
    """ceil_mode is written as more padding at the end."""
    _need_image(site)
    kernel, stride, (top, left) = pair(pool.kernel_size), pair(pool.stride), pair(pool.padding)
    bottom, right = top, left
    if pool.ceil_mode:
        (h, w), (out_h, out_w) = site.x.shape[2:], site.y.shape[2:]
        bottom = max(top, (out_h - 1) * stride[0] + kernel[0] - h - top)
        right = max(left, (out_w - 1) * stride[1] + kernel[1] - w - left)
    return Window(kernel, stride, (top, left, bottom, right))
