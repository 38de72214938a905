"""Which of the queues is served next?

A job of high priority is served first, and yet those of normal priority are not starved: after a
few batches of high priority in a row, one of normal priority has its turn.
"""

from typing import Literal, get_args

Priority = Literal["normal", "high"]
EVERY: tuple[Priority, ...] = get_args(Priority)
_HIGH_IN_A_ROW = 4


class Turns:
    """Whose turn it is, for one worker."""

    def __init__(self) -> None:
        self._high_in_a_row = 0

    def order(self) -> tuple[Priority, ...]:
        """Return the priorities in the order in which to look for a message."""
        return ("normal", "high") if self._high_in_a_row >= _HIGH_IN_A_ROW else ("high", "normal")

    def took(self, priority: Priority) -> None:
        """Take into account that a message of this priority was taken."""
        self._high_in_a_row = self._high_in_a_row + 1 if priority == "high" else 0
