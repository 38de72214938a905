"""How is somebody outside of the farm told of a job?"""

from collections.abc import Mapping
from typing import Protocol


class Webhooks(Protocol):
    """The addresses that jobs name."""

    async def post(self, address: str, *, body: bytes, headers: Mapping[str, str]) -> None:
        """Tell an address something.

        Raises:
            InvalidRequestError: it may not be told; it makes no sense to try again.
            UnavailableError: it did not take it.
        """
        ...
