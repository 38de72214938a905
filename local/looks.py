"""What does each look at a farm see? One function for each part of it.

A look returns what is well in a few words, or raises `UnwellError` with what is not and what to do.
All run as whoever runs the farm, whose rights docs/roles.md lists: in Azure they write nothing but
what an upload writes.
"""

import asyncio
import datetime
import shutil
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from azure.core import exceptions

from blendrop import __version__, errors, settings
from blendrop.adapters.azure_clients import Clients
from blendrop.adapters.azure_job_table import AzureJobTable
from blendrop.adapters.azure_worker_table import AzureWorkerTable
from blendrop.domain import batches, jobs, workers

_LONG = 600.0  # seconds that a message may wait before somebody should ask why
_EVENT_SECONDS = 120.0
_TIMEOUT = aiohttp.ClientTimeout(total=15)
_MOST = 1000  # things that are counted one by one


class UnwellError(errors.BlendropError):
    """A part of the farm does not do what it should; `remedy` says what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


@dataclass(frozen=True)
class Patient:
    """Where the farm is."""

    clients: Clients
    url: str
    share: Path | None
    function_key: str = ""
    account: str = ""  # in Azure; empty: the emulator

    @property
    def headers(self) -> dict[str, str]:
        """What a call of the HTTP API carries."""
        return {"x-functions-key": self.function_key} if self.function_key else {}


Look = Callable[[Patient], Awaitable[str]]


async def scenes(patient: Patient) -> str:
    """Look whether the container of scenes can be listed."""
    count = await _blobs(patient, settings.SCENES_CONTAINER)
    return f"{count}{' or more' if count == _MOST else ''} scenes"


async def _blobs(patient: Patient, container: str) -> int:
    count = 0
    async for _ in patient.clients.blobs.get_container_client(container).list_blob_names():
        count += 1
        if count == _MOST:
            break
    return count


async def uploads(patient: Patient) -> str:
    """Look whether announcements of uploads reach the functions, and are taken."""
    try:
        undelivered = await _blobs(patient, settings.DEAD_LETTERS_CONTAINER)
    except exceptions.ResourceNotFoundError:
        undelivered = 0  # where the functions poll, nothing announces
    if undelivered:
        raise UnwellError(
            f"{undelivered} announcements lie in {settings.DEAD_LETTERS_CONTAINER}: Event Grid "
            f"could not put them on {settings.UPLOADS_QUEUE}",
            "Each says why; has the topic its role on the queue? Upload those scenes again",
        )
    age = await _oldest(patient, settings.UPLOADS_QUEUE)
    if age > _LONG:
        raise UnwellError(
            f"an announcement on {settings.UPLOADS_QUEUE} waits for {age:.0f} s",
            "Nobody takes it: do the functions run, and has their identity its role on the queue?",
        )
    return f"none lost, the oldest announcement waits for {age:.0f} s" if age else "none waits"


async def _oldest(patient: Patient, queue: str) -> float:
    """Return for how many seconds the next message has been there; 0 if there is none to see."""
    peeked = await patient.clients.queues.get_queue_client(queue).peek_messages(1)
    inserted = peeked[0].inserted_on if peeked else None
    return max(time.time() - inserted.timestamp(), 0.1) if inserted else 0.0


async def queues(patient: Patient) -> str:
    """Look at each queue's depth, and at what nobody could carry out."""
    made_by_the_host = (settings.UPLOADS_POISON_QUEUE, settings.DUE_JOBS_POISON_QUEUE)
    depths = {name: await _depth(patient, name) for name in (*settings.QUEUES, *made_by_the_host)}
    poison = (settings.POISON_QUEUE, *made_by_the_host)
    if parked := [f"{depths[name]} messages lie on {name}" for name in poison if depths[name]]:
        raise UnwellError(
            "; ".join(parked), "Peek at them: each says why; delete them when you have read them"
        )
    return ", ".join(f"{name} {depth}" for name, depth in depths.items())


async def _depth(patient: Patient, queue: str) -> int:
    try:
        properties = await patient.clients.queues.get_queue_client(queue).get_queue_properties()
    except exceptions.ResourceNotFoundError:
        if queue in settings.QUEUES:
            raise
        return 0  # outside of Azure the host makes it when it needs it
    return int(properties.approximate_message_count or 0)


async def tables(patient: Patient) -> str:
    """Look whether rows can be read."""
    for name in (settings.JOBS_TABLE, settings.WORKERS_TABLE, settings.RATE_LIMITS_TABLE):
        rows = patient.clients.tables.get_table_client(name).list_entities(results_per_page=1)
        async for _ in rows:
            break
    return "rows can be read"


async def share(patient: Patient) -> str:
    """Look whether files can be written to the frame share, where it is mounted here."""
    if patient.share is None:
        return "not mounted here, so not looked at (SHARE=/its/folder)"
    file = patient.share / f".doctor-{uuid.uuid4().hex}"
    try:
        file.write_bytes(b"doctor")
        file.unlink()
        free = shutil.disk_usage(patient.share).free
    except OSError as failed:
        raise UnwellError(
            f"{patient.share}: {failed.strerror}", "Mount it for writing, or make room on it"
        ) from failed
    return f"writable, {free // 2**30} GiB free"


async def functions(patient: Patient) -> str:
    """Look whether the function app answers, and is of this version."""
    async with (
        aiohttp.ClientSession(timeout=_TIMEOUT) as http,
        http.get(f"{patient.url}/api/health", headers=patient.headers) as answer,
    ):
        if answer.status in (401, 403):
            raise UnwellError(
                f"it answered {answer.status}", "Give a function key in BLENDROP_FUNCTION_KEY"
            )
        if answer.status != 200:
            raise UnwellError(
                f"it answered {answer.status}", "Look at its log: a missing setting names itself"
            )
        version = (await answer.json())["version"]
    if version != __version__:
        raise UnwellError(
            f"it runs version {version}, and this is {__version__}", "Publish the functions again"
        )
    return f"answer, version {version}"


async def at_work(patient: Patient) -> str:
    """Look whether somebody works at what waits."""
    table = AzureJobTable(patient.clients, table=settings.JOBS_TABLE)
    holders: set[str] = set()
    waiting = 0
    for listing in await table.open_jobs():
        job = (await table.get_job(listing.job)).row
        async for one in table.batches_of(job.id, states=batches.OPEN):
            if one.row.state is batches.BatchState.RENDERING:
                holders.add(one.row.worker)
            elif job.state is not jobs.JobState.PAUSED:
                waiting += 1
    if holders or not waiting:
        return f"{len(holders)} at work, {waiting} batches wait"
    ages = [await _oldest(patient, settings.BATCHES_QUEUE)]
    ages.append(await _oldest(patient, settings.HIGH_QUEUE))
    if (age := max(ages)) > _LONG:
        raise UnwellError(
            f"{waiting} batches wait, the oldest for {age:.0f} s, and no worker is at work",
            "Do workers start? Look at the scaler's and the workers' log: image, identity, share",
        )
    return f"none yet, {waiting} batches wait (starting from zero takes minutes)"


async def versions(patient: Patient) -> str:
    """Look whether the workers that live are of this version, too."""
    table = AzureWorkerTable(patient.clients, table=settings.WORKERS_TABLE)
    rows = await table.all_workers()
    dead = workers.thought_dead(rows, datetime.datetime.now(datetime.UTC))
    live = [one for one in rows if one.id not in dead]
    if others := sorted(
        {f"{one.name} {one.version}" for one in live if one.version != __version__}
    ):
        raise UnwellError(
            f"workers run other versions than {__version__}: {', '.join(others)}",
            "Build the image from this version, and let the workers be replaced (docs/deploy.md)",
        )
    blenders = sorted({blender for one in live for blender in one.blenders})
    return f"{len(live)} live, version {__version__}, Blender {', '.join(blenders) or 'none'}"


async def event_path(patient: Patient) -> str:
    """Upload an empty scene, and wait for the failed job that it must become."""
    name = f"doctor-{uuid.uuid4().hex[:8]}.blend"
    blob = patient.clients.blobs.get_blob_client(settings.SCENES_CONTAINER, name)
    await blob.upload_blob(b"")
    began = time.monotonic()
    try:
        job_id = jobs.id_of_upload(name, str((await blob.get_blob_properties()).etag))
        table = AzureJobTable(patient.clients, table=settings.JOBS_TABLE)
        while time.monotonic() - began < _EVENT_SECONDS:
            try:
                job = (await table.get_job(job_id)).row
            except errors.NotFoundError:
                await asyncio.sleep(0.5)
            else:
                return f"an upload became a job in {time.monotonic() - began:.1f} s ({job.state})"
    finally:
        await blob.delete_blob()
    raise UnwellError(
        f"an upload made no job in {_EVENT_SECONDS:g} s",
        "Look at the Event Grid subscription's metrics, its dead letters, the queue "
        f"{settings.UPLOADS_QUEUE} and its poison queue, and the functions' log",
    )


LOOKS: tuple[tuple[str, Look], ...] = (
    ("container of scenes", scenes),
    ("uploads", uploads),
    ("queues", queues),
    ("tables", tables),
    ("frame share", share),
    ("functions", functions),
    ("workers", at_work),
    ("versions of workers", versions),
)
