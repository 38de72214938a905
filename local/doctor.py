"""What works on a farm, and what does not? One page, for the engineer woken at night.

It looks as whoever runs it: at the farm of `make up` with nothing given, at one in Azure with the
identity of `az login`, which needs the data roles that docs/roles.md lists for people.
"""

import argparse
import asyncio
import os
import shutil
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import rich.console
import rich.table
from azure.core import exceptions

from blendrop import __version__, errors, settings
from blendrop.adapters.azure_clients import Clients
from blendrop.adapters.azure_job_table import AzureJobTable
from blendrop.domain import batches, jobs
from local import foreground

_LOCAL_URL = "http://127.0.0.1:7071"
_LOCAL_SHARE = Path(__file__).resolve().parents[1] / "frames"
_DEVELOPMENT = "UseDevelopmentStorage=true"
_LONG = 600.0  # seconds that a message may wait before somebody should ask why
_EVENT_SECONDS = 120.0
_TIMEOUT = aiohttp.ClientTimeout(total=15)
_ROLES = "Create what is missing with infra/bicep, and give yourself the roles of docs/roles.md"


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

    @property
    def headers(self) -> dict[str, str]:
        """What a call of the HTTP API carries."""
        return {"x-functions-key": self.function_key} if self.function_key else {}


@dataclass(frozen=True)
class Finding:
    """What one look found."""

    part: str
    well: bool
    said: str
    remedy: str = ""


Look = Callable[[Patient], Awaitable[str]]


async def examine(patient: Patient, looks: Sequence[tuple[str, Look]]) -> list[Finding]:
    """Take every look, whatever the others find."""
    return [await _finding(patient, part, look) for part, look in looks]


async def _finding(patient: Patient, part: str, look: Look) -> Finding:
    try:
        return Finding(part, well=True, said=await look(patient))
    except UnwellError as unwell:
        return Finding(part, well=False, said=str(unwell), remedy=unwell.remedy)
    except exceptions.ResourceNotFoundError:
        return Finding(part, well=False, said="there is no such thing", remedy=_ROLES)
    except exceptions.ClientAuthenticationError as refused:
        said = " ".join(refused.message.split())[:200]
        return Finding(part, well=False, said=said, remedy="Run az login")
    except exceptions.HttpResponseError as refused:
        said = f"the storage answered {refused.status_code} {refused.reason}"
        return Finding(part, well=False, said=said, remedy=_ROLES)
    except (exceptions.AzureError, aiohttp.ClientError, TimeoutError) as away:
        said = f"no answer ({type(away).__name__})"
        return Finding(
            part, well=False, said=said, remedy="Is it running, and reachable from here?"
        )


async def scenes(patient: Patient) -> str:
    """Look whether the container of scenes can be listed."""
    container = patient.clients.blobs.get_container_client(settings.SCENES_CONTAINER)
    count = 0
    async for _ in container.list_blob_names():
        count += 1
        if count == 1000:
            break
    return f"{count}{' or more' if count == 1000 else ''} scenes"


async def queues(patient: Patient) -> str:
    """Look at each queue's depth, and at what nobody could carry out."""
    depths: dict[str, int] = {}
    for name in settings.QUEUES:
        properties = await patient.clients.queues.get_queue_client(name).get_queue_properties()
        depths[name] = int(properties.approximate_message_count or 0)
    if depths[settings.POISON_QUEUE]:
        raise UnwellError(
            f"{depths[settings.POISON_QUEUE]} messages lie on {settings.POISON_QUEUE}",
            "Peek at them: each says why; delete them when you have read them",
        )
    return ", ".join(f"{name} {depth}" for name, depth in depths.items())


async def tables(patient: Patient) -> str:
    """Look whether rows can be written and read."""
    for name in (settings.JOBS_TABLE, settings.WORKERS_TABLE, settings.RATE_LIMITS_TABLE):
        table = patient.clients.tables.get_table_client(name)
        row = {"PartitionKey": "doctor", "RowKey": uuid.uuid4().hex}
        await table.create_entity(row)
        await table.delete_entity(row["PartitionKey"], row["RowKey"])
    return "rows can be written"


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


async def workers(patient: Patient) -> str:
    """Look whether somebody works at what waits."""
    table = AzureJobTable(patient.clients, table=settings.JOBS_TABLE)
    queue = patient.clients.queues.get_queue_client(settings.BATCHES_QUEUE)
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
    peeked = await queue.peek_messages(1)
    inserted = peeked[0].inserted_on if peeked else None
    age = time.time() - inserted.timestamp() if inserted else 0.0
    if age > _LONG:
        raise UnwellError(
            f"{waiting} batches wait, the oldest for {age:.0f} s, and no worker is at work",
            "Do workers start? Look at the scaler's and the workers' log: image, identity, share",
        )
    return f"none yet, {waiting} batches wait (starting from zero takes minutes)"


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
    ("queues", queues),
    ("tables", tables),
    ("frame share", share),
    ("functions", functions),
    ("workers", workers),
)


async def main() -> int:
    """Print what was found; return 0 if all is well."""
    parser = argparse.ArgumentParser(prog="make doctor", description=__doc__)
    parser.add_argument("--account", default="", help="the data storage account's name")
    parser.add_argument("--url", default="", help="of the function app")
    parser.add_argument("--share", type=Path, help="where the frame share is mounted here")
    parser.add_argument("--upload", action="store_true", help="try the event path as well")
    chosen = parser.parse_args()
    given = os.environ.get(settings.STORAGE_CONNECTION, "")
    account = chosen.account
    clients = Clients(
        connection_string="" if account else given or _DEVELOPMENT,
        blob_address=f"https://{account}.blob.core.windows.net",
        queue_address=f"https://{account}.queue.core.windows.net",
        table_address=f"https://{account}.table.core.windows.net",
    )
    patient = Patient(
        clients=clients,
        url=(chosen.url or _LOCAL_URL).rstrip("/"),
        share=chosen.share or (None if account else _LOCAL_SHARE),
        function_key=os.environ.get("BLENDROP_FUNCTION_KEY", ""),
    )
    if not urlsplit(patient.url).hostname:
        raise errors.UnavailableError(f"{patient.url!r} is no address; give URL=https://…")
    try:
        looks = (*LOOKS, ("event path", event_path)) if chosen.upload else LOOKS
        findings = await examine(patient, looks)
    finally:
        await clients.close()
    _print(findings)
    return int(any(not finding.well for finding in findings))


def _print(findings: Sequence[Finding]) -> None:
    table = rich.table.Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for finding in findings:
        table.add_row("ok" if finding.well else "BAD", finding.part, finding.said)
        if finding.remedy:
            table.add_row("", "", f"-> {finding.remedy}")
    rich.console.Console(width=110).print(table, highlight=False)


if __name__ == "__main__":
    sys.exit(foreground.run(main()))
