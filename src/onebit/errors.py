"""The one exception for what a caller can mend."""


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
