"""Statements: what the log's operator signs about an order before, or instead of, its place in the log.

Words   An acknowledgement promises that certain leaves will be in the log by a certain instant: with it whoever holds it can
        show that the promise was broken. A refusal says that an order came, was refused, and moved nothing.
        Both are signed notes under the log's own key. The first line says which, and that no checkpoint begins so: the first
        line of a checkpoint is the log's origin, its second a number, and here it is the origin.
"""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Final

from wallet.log import merkle

ACKNOWLEDGEMENT: Final = "acknowledgement"
REFUSAL: Final = "refusal"

PROMISED_S: Final = 10
"""Within how many seconds of an acknowledgement its leaves are in the log."""

_VERSION: Final = "v1"
_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_INSTANT: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z"
_TEXT: Final = re.compile(
    rf"(?P<first>acknowledgement/v1|refusal/v1)\n(?P<origin>[^\n]+)\nsigner (?P<signer>{_UUID})\norder (?P<order>{_UUID})\n"
    rf"digest (?P<digest>[0-9a-f]{{64}})\nabout (?P<about>[a-z0-9_]+)\nat (?P<at>{_INSTANT})\n"
    rf"(?:by (?P<by>{_INSTANT})\n)?(?P<leaves>(?:leaf [A-Za-z0-9+/]{{43}}=\n)*)"
)


class BadStatement(ValueError):
    """A note's text is no statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What is said, about which order of which signer.

    `about` is the order's kind, or the refusal's code. `at` is when it was said, `by` until when its leaves are in the log.
    """

    kind: str
    origin: str
    signer: str
    order: str
    digest: str
    about: str
    at: str
    by: str = ""
    leaves: tuple[bytes, ...] = ()

    @property
    def text(self) -> str:
        """What is signed."""
        said = [
            f"{self.kind}/{_VERSION}", self.origin, f"signer {self.signer}", f"order {self.order}", f"digest {self.digest}",
            f"about {self.about}", f"at {self.at}",
        ]  # fmt: skip
        said += [f"by {self.by}"] if self.by else []
        said += [f"leaf {b64encode(leaf).decode()}" for leaf in self.leaves]
        return "".join(f"{line}\n" for line in said)


def parse(text: str) -> Statement:
    """Read a statement; of each there is one spelling.

    Raises:
        BadStatement.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise BadStatement("not an acknowledgement or a refusal")
    said = found.groupdict(default="")
    kind = said.pop("first").partition("/")[0]
    leaves = tuple(b64decode(line[5:]) for line in said.pop("leaves").splitlines())
    read = Statement(kind=kind, leaves=leaves, **said)
    promises = bool(read.by and leaves)
    if read.text != text or promises != (kind == ACKNOWLEDGEMENT) or bool(read.by) != bool(leaves):
        raise BadStatement("an acknowledgement promises leaves by an instant, a refusal promises none")
    assert all(len(leaf) == merkle.HASH_BYTES for leaf in leaves)
    return read
