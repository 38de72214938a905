"""Where are the scenes, and how does a worker get one?"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from blendrop.domain import (
    jobs,
)


@dataclass(frozen=True)
class StoredScene:
    """An uploaded blob, as the store describes it."""

    scene: jobs.SceneRef
    metadata: Mapping[str, str]


class SceneStore(Protocol):
    """The container that scenes are uploaded to."""

    async def find(self, name: str) -> StoredScene:
        """Return the newest version of a scene.

        Raises:
            NotFoundError: there is no such blob.
        """
        ...

    async def read(self, scene: jobs.SceneRef, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`, fewer only where the file ends.

        Raises:
            ConflictError: the blob is no longer the version that `scene` names.
            NotFoundError: it is gone.
        """
        ...

    async def upload_address(
        self, name: str, *, now: datetime.datetime, until: datetime.datetime
    ) -> str:
        """Return an address, signed until then, that a scene can be put to and nothing else."""
        ...

    async def download(self, scene: jobs.SceneRef, to: Path) -> None:
        """Write the whole scene to `to`. Raises as `read` does, and leaves no half file behind."""
        ...


class SceneFiles(Protocol):
    """The scenes that lie on this worker's own disk."""

    async def path_of(self, scene: jobs.SceneRef) -> Path:
        """Return the file with exactly that version's bytes, downloading it if it is not there.

        Raises:
            ConflictError: the blob was replaced by another version.
            NotFoundError: it is gone.
            UnavailableError: the store is away, or the disk is full.
        """
        ...

    async def digest_of(self, scene: jobs.SceneRef) -> str:
        """Return the SHA-256 of that version's bytes. Raises as `path_of` does."""
        ...
