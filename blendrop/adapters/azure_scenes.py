"""Scenes in a blob container."""

import asyncio
import datetime
import os
from pathlib import Path

from azure.core import MatchConditions

from blendrop import errors, ports
from blendrop.adapters.azure_clients import Clients, translated
from blendrop.domain import jobs

_PARALLEL_BLOCKS = 4
_CLOCK_SKEW = datetime.timedelta(minutes=15)  # as Microsoft advises for the start of a signature


class AzureSceneStore:
    """Carries out `ports.SceneStore` with Azure Blob Storage."""

    def __init__(self, clients: Clients, *, container: str) -> None:
        self._clients = clients
        self._container = container

    async def find(self, name: str) -> ports.StoredScene:
        """Return the newest version of a scene. Raises NotFoundError."""
        blob = self._clients.blobs.get_blob_client(self._container, name)
        with translated(f"look at scene {name!r}"):
            properties = await blob.get_blob_properties()
        scene = jobs.SceneRef(name=name, etag=str(properties.etag), size=int(properties.size))
        return ports.StoredScene(scene=scene, metadata=dict(properties.metadata or {}))

    async def read(self, scene: jobs.SceneRef, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`, fewer only where the file ends."""
        blob = self._clients.blobs.get_blob_client(self._container, scene.name)
        with translated(f"read scene {scene.name!r}"):
            stream = await blob.download_blob(
                offset, length, etag=scene.etag, match_condition=MatchConditions.IfNotModified
            )
            return await stream.readall()

    async def upload_address(
        self, name: str, *, now: datetime.datetime, until: datetime.datetime
    ) -> str:
        """Return an address, signed until then, that a scene can be put to and nothing else.

        Signed with the account's key where there is one (the emulator), and elsewhere with a key
        that Entra ID gives to whoever runs this.
        """
        from azure.storage.blob import BlobSasPermissions, generate_blob_sas  # noqa: PLC0415 loaded where used

        service = self._clients.blobs
        since = now - _CLOCK_SKEW
        key = getattr(service.credential, "account_key", None)
        with translated(f"sign an upload of {name!r}"):
            delegated = None if key else await service.get_user_delegation_key(since, until)
        signature = generate_blob_sas(
            account_name=str(service.account_name),
            container_name=self._container,
            blob_name=name,
            account_key=key,
            user_delegation_key=delegated,
            permission=BlobSasPermissions(create=True, write=True),
            start=since,
            expiry=until,
        )
        return f"{service.get_blob_client(self._container, name).url}?{signature}"

    async def download(self, scene: jobs.SceneRef, to: Path) -> None:
        """Write the whole scene to `to`, or nothing."""
        blob = self._clients.blobs.get_blob_client(self._container, scene.name)
        part = to.with_suffix(f".{os.getpid()}.part")
        try:
            with translated(f"download scene {scene.name!r}"):
                stream = await blob.download_blob(
                    etag=scene.etag,
                    match_condition=MatchConditions.IfNotModified,
                    max_concurrency=_PARALLEL_BLOCKS,
                )
                with part.open("wb") as file:
                    written = await stream.readinto(file)
            if written != scene.size:
                raise errors.UnavailableError(
                    f"scene {scene.name!r} came with {written} of {scene.size} bytes"
                )
            await asyncio.to_thread(part.replace, to)
        finally:
            part.unlink(missing_ok=True)
