"""Labelled images on a disk, and experiences from those that arrive in a folder."""

from onebit.runtime.inbox.images import LabelledImages, read_images
from onebit.runtime.inbox.teaching import teach_arrivals

__all__ = ["LabelledImages", "read_images", "teach_arrivals"]
