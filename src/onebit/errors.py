"""The one exception for what a caller can mend, and a hint for an unknown name."""

import difflib
from collections.abc import Iterable


class OnebitError(Exception):
    """Bad input or a bad environment: says what, where, and how to mend it.

    Args:
        message: one line, what is wrong and where.
        hint: one line, the next step; may be empty.

    Example:
        >>> raise OnebitError("m.obn is empty", hint="export it again")
        Traceback (most recent call last):
        ...
        onebit.errors.OnebitError: m.obn is empty (export it again)
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = " ".join(message.split())
        self.hint = " ".join(hint.split())

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


def nearest(name: str, known: Iterable[str], otherwise: str, cutoff: float = 0.6) -> str:
    """A hint that asks for the known name that is most like ``name``, or for those that begin with it.

    Args:
        name: the unknown name.
        known: the known names.
        otherwise: the hint if none is like it.
        cutoff: minimum likeness, 0 to 1, see :func:`difflib.get_close_matches`.

    Example:
        >>> nearest("resnet", ["resnet18", "resnet34", "vgg"], "there are 3")
        'did you mean resnet18 or resnet34?'
        >>> nearest("vgh", ["resnet18", "vgg"], "there are 2"), nearest("x", ["vgg"], "there is vgg")
        ('did you mean vgg?', 'there is vgg')
    """
    names = list(known)
    near = [other for other in names if name and other.startswith(name)]
    near = near or difflib.get_close_matches(name, names, n=1, cutoff=cutoff)
    return f"did you mean {' or '.join(near)}?" if near else otherwise
