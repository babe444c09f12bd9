"""Refusals: every anticipated no, as an exception with a stable code.

Words   A refusal is an answer, with Vietnamese and English text in `words.toml`; an error is a bug.
Source  RFC 9457 carries a refusal over HTTP; `status` is the only thing here that HTTP gave us, a plain number.
"""

from collections.abc import Iterator
from typing import ClassVar


class Refusal(Exception):
    """An anticipated no. Subclasses stand beside the function that raises them.

    Args:
        param: the field of the order that is at fault, where one is.
        facts: further members of the problem document: plain strings, never a secret.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    stored: ClassVar[bool] = True
    """Whether an order that was refused so keeps this outcome. False: nothing was stored, the order may come again."""

    def __init__(self, *, param: str | None = None, **facts: str) -> None:
        super().__init__(getattr(self, "code", type(self).__name__))
        self.param = param
        self.facts = facts


def every() -> Iterator[type[Refusal]]:
    """Yield each refusal class that carries a code, for the tests and the API's own documentation."""
    waiting = [Refusal]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            waiting.append(kind)
            if "code" in vars(kind):
                yield kind
