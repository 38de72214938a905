"""What do deeds on the frame share come to, in the operations that Azure Files bills?

Nobody but the kernel sees what it sends over SMB. This is what each deed takes by the protocol,
were nothing cached and nothing sent twice: about, and rather too many than too few. Not counted are
a deed that failed, and what is read of an earlier job's frames to take them over.
"""

import collections
import math

from blendrop import ports

_WRITTEN_AT_ONCE = 1024 * 1024  # bytes: the least that Linux' client is mounted with
_ANSWERED = 200  # what stands for success among the statuses of requests


class SmbOperations:
    """Tells of deeds, one after the other; in the event loop, where those who listen live."""

    def __init__(self, calls: ports.StorageCalls) -> None:
        self._calls = calls

    def looked(self, times: int = 1) -> None:
        """It was looked what stands under a name."""
        self._told(times, "Create", "QueryInfo", "Close")

    def listed(self) -> None:
        """A folder was listed; the second question has the answer that there is no more."""
        self._told(1, "Create", "QueryDirectory", "QueryDirectory", "Close")

    def changed(self, times: int = 1) -> None:
        """A name was given, changed or removed."""
        self._told(times, "Create", "SetInfo", "Close")

    def went_to(self, name: str) -> None:
        """The folders of a name were made or found, and none of them was a link."""
        between = name.count("/")
        self._told(1 + between, "Create", "Close")
        self.looked(3 + between)  # the root, the job's folder and those below, the name itself

    def wrote(self, size: int) -> None:
        """A file of so many bytes was written."""
        self._told(1, "Create", "Close")
        self._told(math.ceil(size / _WRITTEN_AT_ONCE), "Write")

    def _told(self, times: int, *operations: str) -> None:
        for operation, count in collections.Counter(operations).items():
            self._calls.called("file", operation, _ANSWERED, times * count)
