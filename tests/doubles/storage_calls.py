"""Which calls of the storage account were there since a test looked last?"""

import collections

from blendrop import ports


class CountedCalls(ports.StorageCalls):
    """Carries out `ports.StorageCalls`."""

    def __init__(self) -> None:
        self.made: collections.Counter[tuple[str, str, int]] = collections.Counter()

    def called(
        self, service: ports.StorageService, operation: str, status: int, count: int = 1
    ) -> None:
        """Count."""
        self.made[service, operation, status] += count

    def taken(self) -> dict[tuple[str, str, int], int]:
        """Return the calls by service, operation and status, and begin anew."""
        made, self.made = dict(self.made), collections.Counter()
        return made
