"""What does a deed on the frame share come to, in the operations that Azure Files bills?

Nobody but the kernel sees what it sends over SMB. This is what each step takes by the protocol,
were nothing cached and nothing sent twice: about, and rather too many than too few. Not counted are
a deed that failed, and what is read of an earlier job's frames to take them over.
"""

import collections
import math

from blendrop import ports

_WRITTEN_AT_ONCE = 1024 * 1024  # bytes: the least that Linux' client is mounted with
_ANSWERED = 200  # what stands for success among the statuses of requests


class Deed:
    """The operations of one deed, noted step by step in the thread that carries it out."""

    def __init__(self) -> None:
        self._operations: collections.Counter[str] = collections.Counter()

    def looked(self, times: int = 1) -> None:
        """It was looked what stands under a name."""
        self._took("Create", "QueryInfo", "Close", times=times)

    def listed(self) -> None:
        """A folder was listed; the second question has the answer that there is no more."""
        self._took("Create", "QueryDirectory", "QueryDirectory", "Close")

    def changed(self) -> None:
        """A name was given, changed or removed."""
        self._took("Create", "SetInfo", "Close")

    def made(self) -> None:
        """A folder was made, or found."""
        self._took("Create", "Close")

    def wrote(self, size: int, *, kept: bool) -> None:
        """A file of so many bytes was written; `kept`: and it was waited until it was stored."""
        self._took("Create", "Close")
        self._took("Write", times=math.ceil(size / _WRITTEN_AT_ONCE))
        if kept:
            self._took("Flush")

    def tell(self, calls: ports.StorageCalls) -> None:
        """Tell of all of it; in the event loop, where those who listen live."""
        for operation, count in self._operations.items():
            calls.called("file", operation, _ANSWERED, count)

    def _took(self, *operations: str, times: int = 1) -> None:
        for operation in operations:
            self._operations[operation] += times
