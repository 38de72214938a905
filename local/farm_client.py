"""How does a user hand a scene to a farm, and follow what becomes of it?

By what Azure offers everyone: the blob container and the HTTP API. Nothing here reaches past them.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from azure.core import exceptions
from azure.storage.blob import aio

from blendrop import errors, settings
from blendrop.domain import batches, jobs
from blendrop.usecases import show

_POLL = 0.25  # seconds between two looks at a job
_JOB_APPEARS = 60.0  # seconds after the upload
_AWAY = 15.0  # seconds that the HTTP API may be away
# Bytes: the emulator, on this machine, takes a file whole in a third of the time of its blocks.
_IN_ONE_PIECE = 1 << 28
_TIMEOUT = aiohttp.ClientTimeout(total=10)


@dataclass(frozen=True)
class FarmClient:
    """A farm, as its users see it."""

    connection_string: str
    http: str  # like http://127.0.0.1:7071

    async def upload(self, path: Path, metadata: Mapping[str, str]) -> str:
        """Upload a scene under its file name; return the id of the job that this makes.

        Raises:
            UnavailableError: the storage did not take it.
        """
        try:
            async with aio.BlobClient.from_connection_string(
                self.connection_string,
                settings.SCENES_CONTAINER,
                path.name,
                max_single_put_size=_IN_ONE_PIECE,
            ) as blob:
                with path.open("rb") as scene:
                    await blob.upload_blob(scene, overwrite=True, metadata=dict(metadata))
                etag = (await blob.get_blob_properties()).etag
        except exceptions.AzureError as away:
            raise errors.UnavailableError(f"{path} could not be uploaded: {away}") from away
        return jobs.id_of_upload(path.name, str(etag))

    async def healthy(self) -> bool:
        """Tell whether the function app answers."""
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as http,
                http.get(f"{self.http}/api/health") as answer,
            ):
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def job(self, job_id: str) -> show.JobView:
        """Return a job as the HTTP API shows it.

        Raises:
            NotFoundError: there is none, or not yet.
            UnavailableError: the API is away.
        """
        return show.JobView.model_validate_json(await self._get(f"jobs/{job_id}"))

    async def batches(self, job_id: str) -> tuple[batches.Batch, ...]:
        """Return a job's batches. Raises as `job` does."""
        answer = json.loads(await self._get(f"jobs/{job_id}/batches"))
        return tuple(batches.Batch.model_validate(one) for one in answer["batches"])

    async def _get(self, path: str) -> bytes:
        """Return what a GET of the API answers.

        Raises:
            NotFoundError: there is none, or not yet.
            UnavailableError: the API is away.
        """
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as http,
                http.get(f"{self.http}/api/{path}") as answer,
            ):
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as away:
            raise errors.UnavailableError(f"{self.http} does not answer: {away}") from away
        if answer.status == 404:
            raise errors.NotFoundError(f"{self.http} has no {path}")
        if answer.status != 200:
            raise errors.UnavailableError(
                f"{self.http} answered {answer.status}: {body[:500].decode(errors='replace')}"
            )
        return body

    async def follow(self, job_id: str) -> AsyncIterator[show.JobView]:
        """Yield a job again and again, until it has ended; the last one is the ended job.

        Raises:
            NotFoundError: no upload made the job in time.
            UnavailableError: the API has been away for too long.
        """
        patience_ends = time.monotonic() + _JOB_APPEARS
        while True:
            try:
                view = await self.job(job_id)
            except (errors.NotFoundError, errors.UnavailableError):
                if time.monotonic() > patience_ends:
                    raise
            else:
                yield view
                if view.job.ended:
                    return
                patience_ends = time.monotonic() + _AWAY
            await asyncio.sleep(_POLL)
