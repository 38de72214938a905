"""Which of the queues is served next?

A job of high priority is served first, and yet those of normal priority are not starved: after a
few batches of high priority in a row, one of normal priority has its turn. A queue of high priority
that was found empty is not looked at again for some seconds, as long as there is something else to
do: most farms hardly use it, and every look costs a call.
"""

from typing import Literal, get_args

Priority = Literal["normal", "high"]
EVERY: tuple[Priority, ...] = get_args(Priority)
_HIGH_IN_A_ROW = 4
_EMPTY_SECONDS = 10.0


class Turns:
    """Whose turn it is, for one worker."""

    def __init__(self) -> None:
        self._high_in_a_row = 0
        self._high_empty: float | None = None  # when it was found so

    def order(self, now: float) -> tuple[Priority, ...]:
        """Return the priorities in the order in which to look for a message; `now` in seconds."""
        if self._high_in_a_row >= _HIGH_IN_A_ROW:
            return ("normal", "high")
        if self._high_empty is not None and now - self._high_empty < _EMPTY_SECONDS:
            return ("normal", "high")
        return ("high", "normal")

    def took(self, priority: Priority) -> None:
        """Take into account that a message of this priority was taken."""
        self._high_in_a_row = self._high_in_a_row + 1 if priority == "high" else 0
        if priority == "high":
            self._high_empty = None

    def found_none(self, priority: Priority, now: float) -> None:
        """Take into account that there was no message of this priority."""
        if priority == "high":
            self._high_empty = now
