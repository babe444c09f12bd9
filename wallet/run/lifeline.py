"""A child process that does not outlive the one that started it, as far as the system allows."""

import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1
"""linux/prctl.h: the signal a process gets when its parent dies."""


def die_with_parent(parent: int | None = None) -> None:
    """Be told to stop (SIGTERM) when the parent dies, however it dies. On Linux; elsewhere this does nothing.

    Args:
        parent: the parent's process id, if known: were it dead before we asked, nobody would tell us.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
