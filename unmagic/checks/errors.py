"""The one error of `checks`."""

import typing

Kind = typing.Literal[
    "type", "shape", "dtype", "device", "nan", "value", "range", "length", "keys", "changed", "raises", "by_hand"
]


class CheckError(AssertionError):
    """A check failed.

    Attributes:
        kind: what sort of thing is wrong: "type", "shape", "dtype", "device", "nan" (not-a-number or infinite),
            "value", "range", "length" or "keys" (of a container), "changed" (an argument was altered), "raises",
            "by_hand" (the answer uses what it is to replace).
        name: what was checked, e.g. "loss" or "gradient[1]".
        hint: which idea to look at again; the last line of the message. May be empty.
    """

    def __init__(self, message: str, *, kind: Kind = "value", name: str = "", hint: str = ""):
        super().__init__(message)
        self.kind, self.name, self.hint = kind, name, hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}\n Hint: {self.hint}" if self.hint else message
