"""Expected faults of running: what the person who starts the program can mend."""

import re


class Fault(Exception):
    """Something outside the program is not as it must be. Its text is one line that says what, and what to
    do."""


def one_line(error: BaseException) -> str:
    """Return the first line of what an outside program or library said, without its ending."""
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    # libpq names the address twice before it comes to the point.
    return re.sub(r"^connection failed: connection to server at .*? failed: ", "", lines[0]).rstrip(".: ")
