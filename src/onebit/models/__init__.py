"""Networks by family, and a registry of them: ``models.create("birealnet18", num_classes=10)``."""

from onebit import _needs_torch  # noqa: F401  # its import is the check
from onebit.models import birealnet, reactnet, resnet, resnet_he, small, vgg  # noqa: F401  # each registers its networks
from onebit.models.registry import create, names

__all__ = ["create", "names"]
