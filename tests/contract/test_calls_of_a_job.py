"""How many calls of the storage account does a job of 100 frames need?

Planned by the real use case and rendered by one worker's real loop, against the real emulator; only
Blender and the images are doubles. No frame is there for long enough for a lease to be renewed. The
tables of numbers below are what the documentation states: a change that adds a call fails here.
"""

import asyncio
import collections
import datetime
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from blendrop import ports
from blendrop.adapters import frame_folder, system_clock
from blendrop.adapters.azure_batch_queue import AzureBatchQueue
from blendrop.adapters.azure_clients import Clients
from blendrop.adapters.azure_due_jobs import AzureDueJobs
from blendrop.adapters.azure_job_table import AzureJobTable
from blendrop.adapters.azure_scenes import AzureSceneStore
from blendrop.domain import circuit_breaker, costs, job_settings, jobs, priorities, usage
from blendrop.usecases import submit
from blendrop.usecases.known_rows import KnownRows
from blendrop.usecases.ledger import Ledger
from blendrop.usecases.render_frames import Rendering
from container_worker import receive_loop
from container_worker.metrics import AllTold
from container_worker.scene_cache import SceneCache
from container_worker.shared_cores import SharedCores
from tests.doubles.blend_file import head
from tests.doubles.farm import MACHINE
from tests.doubles.renderer import CopyingPreviews, ScriptedRenderer, TrustingVerifier
from tests.doubles.storage_calls import CountedCalls

FRAMES = 100

# What the functions call to plan it, by frames in a batch:
PLANNED = {
    8: {
        "blob Get Blob Properties": 1,
        "blob Get Blob": 1,  # the head of the scene
        "table Query Entities": 3,
        "table Insert Or Merge Entity": 2,  # the lists that it is on
        "table Entity Group Transaction": 3,
        "queue Put Message": 13,
    },
    50: {
        "blob Get Blob Properties": 1,
        "blob Get Blob": 1,
        "table Query Entities": 3,
        "table Insert Or Merge Entity": 2,
        "table Entity Group Transaction": 3,
        "queue Put Message": 2,
    },
}
# What the worker calls, from its first look at the queues to the last message deleted:
RENDERED = {
    8: {
        "blob Get Blob": 1,  # the scene
        "queue Get Messages": 16,  # one for each; high priority at first, and both at the end
        "queue Delete Message": 13,
        "table Query Entities": 6,  # the job, the rows of its batches, an equal job; 3 to settle it
        "table Insert Or Merge Entity": 1,  # that it has such frames
        "table Update Entity": 26,  # 2 for each batch
        "table Entity Group Transaction": 2,  # the job begins, and ends, each with its event
    },
    50: {
        "blob Get Blob": 1,
        "queue Get Messages": 5,
        "queue Delete Message": 2,
        "table Query Entities": 6,
        "table Insert Or Merge Entity": 1,
        "table Update Entity": 4,
        "table Entity Group Transaction": 2,
    },
}
# Both together, of queues and tables alone:
PER_FRAME = {8: 0.85, 50: 0.30}


class NotAtOnce(ScriptedRenderer):
    """Leaves the time that it takes to receive the next message beside the last frame."""

    async def render(self, frame: int, name: str) -> ports.RenderedFrame:
        """Take a moment."""
        await asyncio.sleep(0.03)
        return await super().render(frame, name)


class UntilDone(ports.Progress):
    """Stops the worker after so many messages."""

    def __init__(self, batches: int, stopping: receive_loop.Stopping) -> None:
        self._left = batches
        self._stopping = stopping

    def message_left(self, outcome: str, *, idle: bool = True) -> None:
        """One more is done."""
        assert outcome == "done"
        self._left -= 1
        if not self._left:
            self._stopping.request()


@dataclass(frozen=True)
class Account:
    """A test's own part of the storage account, and who counts the calls that go there."""

    clients: Clients
    calls: CountedCalls
    ledger: Ledger
    jobs: AzureJobTable
    queue: AzureBatchQueue
    due_jobs: AzureDueJobs
    scenes: AzureSceneStore

    async def upload(self, content: bytes, **metadata: str) -> None:
        """Upload a scene as a person would, which is not counted."""
        blob = self.clients.blobs.get_blob_client(self.scenes._container, "shot.blend")
        await blob.upload_blob(content, metadata=metadata)
        self.calls.taken()
        self.ledger.held()


@pytest_asyncio.fixture
async def account(
    storage_account: str, container: str, queue_names: tuple[str, str], table_name: str
) -> AsyncIterator[Account]:
    """Return a new one."""
    calls, ledger = CountedCalls(), Ledger(MACHINE, system_clock.SystemClock())
    clients = Clients(connection_string=storage_account, calls=AllTold(calls, ledger))
    name, poison = queue_names
    queues: dict[priorities.Priority, str] = {"normal": name, "high": f"{name}-high"}
    yield Account(
        clients=clients,
        calls=calls,
        ledger=ledger,
        jobs=AzureJobTable(clients, table=table_name),
        queue=AzureBatchQueue(
            clients, queues=queues, poison_queue=poison, clock=system_clock.SystemClock()
        ),
        due_jobs=AzureDueJobs(clients, queue=name),
        scenes=AzureSceneStore(clients, container=container),
    )
    await clients.close()


def by_operation(calls: CountedCalls) -> dict[str, int]:
    """Return how often each operation was called."""
    counted: collections.Counter[str] = collections.Counter()
    for (service, operation, _), times in calls.taken().items():
        counted[f"{service} {operation}"] += times
    return dict(counted)


@pytest.mark.parametrize("batch_size", sorted(RENDERED))
async def test_the_calls_of_a_hundred_frames(
    account: Account, tmp_path: Path, batch_size: int
) -> None:
    """Exactly so many, by operation; and each is on the row of a batch, or still to be written."""
    (tmp_path / "share").mkdir()
    await account.upload(head(("S", 1, FRAMES)), batch_size=str(batch_size))

    job = await submit.uploaded(submission(account, tmp_path), "shot.blend")

    assert job is not None
    planned = by_operation(account.calls)
    estimated = usage.of_planning(job.batch_count).transactions
    assert planned == PLANNED[batch_size]
    assert account.ledger.held().used.transactions == estimated

    stopping = receive_loop.Stopping()
    world = rendering(account, tmp_path, UntilDone(job.batch_count, stopping), stopping)
    async with asyncio.timeout(15):
        await receive_loop.run(
            world,
            stopping,
            SharedCores(tmp_path / "machine", "w1", cores=2, used=lambda: None),
            poll_seconds=0.1,
            idle_seconds=0,
            grace_seconds=5,
            failed_jobs=3,
        )
    rendered = by_operation(account.calls)
    left = account.ledger.since_last().transactions
    rows = [one.row async for one in account.jobs.batches_of(job.id)]

    assert (await account.jobs.get_job(job.id)).row.state is jobs.JobState.COMPLETED
    assert sum(row.frames_done for row in rows) == FRAMES
    assert rendered == RENDERED[batch_size]
    every = [*planned.items(), *rendered.items()]
    counted = sum(times for called, times in every if not called.startswith("blob"))
    assert counted / FRAMES == pytest.approx(PER_FRAME[batch_size])
    billed: collections.Counter[str] = collections.Counter()
    for called, times in rendered.items():
        billed[usage.billed_as(*called.split(" ", 1))] += times
    assert (
        collections.Counter(costs.sum_of(rows).transactions) + collections.Counter(left) == billed
    )


def submission(account: Account, folder: Path) -> submit.Submission:
    """Return what planning needs."""
    return submit.Submission(
        scenes=account.scenes,
        jobs=account.jobs,
        queue=account.queue,
        due_jobs=account.due_jobs,
        share=frame_folder.FrameFolder(folder / "share"),
        clock=system_clock.SystemClock(),
        limits=job_settings.Limits(newest_blender="5.0"),
        settling=datetime.timedelta(minutes=2),
    )


def rendering(
    account: Account, folder: Path, progress: ports.Progress, stopping: receive_loop.Stopping
) -> Rendering:
    """Return a worker with doubles of Blender and of what looks at images."""
    (folder / "disk").mkdir()
    return Rendering(
        worker="w1",
        jobs=account.jobs,
        queue=account.queue,
        due_jobs=account.due_jobs,
        scenes=SceneCache(account.scenes, folder / "scenes", largest=2**20),
        share=frame_folder.FrameFolder(folder / "share"),
        renderer=NotAtOnce(folder=folder / "disk"),
        verifier=TrustingVerifier(),
        previews=CopyingPreviews(),
        clock=system_clock.SystemClock(),
        stopping=stopping.requested.is_set,
        lease=datetime.timedelta(seconds=60),
        frame_attempts=3,
        retry_delay=datetime.timedelta(seconds=10),
        breaker=circuit_breaker.CircuitBreaker(),
        largest_image=1_000_000,
        known=KnownRows(datetime.timedelta(seconds=20)),
        batch_seconds=0,
        progress=progress,
        ledger=account.ledger,
        prices=costs.PriceTable(),
    )
