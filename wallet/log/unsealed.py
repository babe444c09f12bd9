"""Where events without a place may be: what the sealer need look at, and no more.

Why     A seq is taken long before its event is committed, so a lower one may appear after higher ones were sealed, or never
        (its transaction went back). To look from the first event each time would cost more each day; to look only above the
        greatest seq seen would pass over the late ones for ever.
How     Ranges of seq are open in which an event may yet be found; the last has no end. A sealed seq leaves its range. A gap
        is closed when nobody is left who could fill it: at some moment the greatest seq given out was s and the writers were
        W; once all of W have ended, whatever was committed up to s can be seen, and once that is sealed, nothing up to s is
        open any more.
"""

from collections.abc import Iterable, Sequence
from typing import Final

SEQ_MAX: Final = 2**63 - 1

RANGES_MAX: Final = 1_000
"""More gaps than this are bridged from below: looking once more at what is sealed costs time, and nothing else."""


class Unsealed:
    """The open ranges, and the writers whose end closes the gaps below them.

    Args:
        settled: nothing up to this seq is open: the log remembers it with each checkpoint.
    """

    def __init__(self, settled: int = 0) -> None:
        self._ranges: list[tuple[int, int]] = [(settled + 1, SEQ_MAX)]
        self._horizon = settled
        self._writers: frozenset[str] | None = None

    @property
    def settled(self) -> int:
        """Up to this seq, every event that there is or will be has its place."""
        return self._ranges[0][0] - 1

    @property
    def bounds(self) -> tuple[list[int], list[int]]:
        """The ranges' first and last seqs, ascending."""
        return [low for low, _ in self._ranges], [high for _, high in self._ranges]

    def watch(self, seq: int, writers: Sequence[str]) -> bool:
        """Take note of the horizon, before looking for events. Says whether that look may close what is below the mark.

        Args:
            seq: the greatest that was given out, read before `writers`.
            writers: the transactions that may hold seqs up to it and have not ended.
        """
        if self._writers is None:
            self._horizon, self._writers = seq, frozenset(writers)
        self._writers &= frozenset(writers)
        return not self._writers

    def sealed(self, seqs: Iterable[int]) -> None:
        """Close the seqs, ascending, whose events have their places now."""
        left: list[tuple[int, int]] = []
        waiting = iter(seqs)
        seq = next(waiting, None)
        for low, high in self._ranges:
            while seq is not None and seq <= high:
                if low < seq:
                    left.append((low, seq - 1))
                low, seq = seq + 1, next(waiting, None)
            if low <= high:
                left.append((low, high))
        bridged = len(left) - RANGES_MAX
        self._ranges = [(left[0][0], left[bridged][1]), *left[bridged + 1 :]] if bridged > 0 else left

    def close(self) -> None:
        """Close everything up to the mark: all writers have ended, and everything that could be seen since is sealed."""
        assert not self._writers, "somebody may still fill a gap"
        open_above = ((max(low, self._horizon + 1), high) for low, high in self._ranges)
        self._ranges = [one for one in open_above if one[0] <= one[1]]
        self._writers = None
