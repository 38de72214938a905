"""Is every call of the storage account told of, by its own name?"""

import datetime
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from blendrop import errors, ports
from blendrop.adapters import azure_calls
from blendrop.adapters.azure_batch_queue import AzureBatchQueue
from blendrop.adapters.azure_clients import Clients
from blendrop.adapters.azure_due_jobs import AzureDueJobs
from blendrop.adapters.azure_job_table import AzureJobTable
from blendrop.adapters.azure_rate_counters import AzureRateCounters
from blendrop.adapters.azure_scenes import AzureSceneStore
from blendrop.adapters.azure_worker_table import AzureWorkerTable
from blendrop.adapters.system_clock import SystemClock
from blendrop.domain import batches, events, job_settings, jobs, messages, workers
from tests.doubles.storage_calls import CountedCalls

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
LONG = datetime.timedelta(seconds=60)
JOB = jobs.Job(
    id="shot-0123456789ab",
    state=jobs.JobState.QUEUED,
    reason="",
    scene=jobs.SceneRef(name="shot.blend", etag="0x1", size=1),
    settings=job_settings.JobSettings(),
    blender_version="5.0",
    frames="1-8",
    frame_count=8,
    batch_size=4,
    batch_count=2,
    created=NOW,
    changed=NOW,
)


@pytest_asyncio.fixture
async def counted(storage_account: str) -> AsyncIterator[tuple[Clients, CountedCalls]]:
    """Return clients of the real storage emulator, and who is told of their calls."""
    calls = CountedCalls()
    clients = Clients(connection_string=storage_account, calls=calls)
    yield clients, calls
    await clients.close()


async def test_the_calls_of_the_queues(
    counted: tuple[Clients, CountedCalls], queue_names: tuple[str, str]
) -> None:
    """Every queue is looked into while nothing is found; a refused call counts like any other."""
    clients, calls = counted
    name, poison = queue_names
    queue = AzureBatchQueue(
        clients,
        queues={"normal": name, "high": f"{name}-high"},
        poison_queue=poison,
        clock=SystemClock(),
    )
    batch_messages = [
        messages.BatchMessage(job=JOB.id, batch=number, frames="1-4") for number in range(3)
    ]
    await queue.send(batch_messages, priority="high")
    await AzureDueJobs(clients, queue=name).send(JOB.id, delay=LONG)
    assert calls.taken() == {("queue", "Put Message", 201): 4}

    taken = [await queue.receive(lease=LONG) for _ in range(4)]
    assert calls.taken() == {("queue", "Get Messages", 200): 5}  # the last time, both queues
    first, second, third = (one for one in taken if one is not None)

    renewed = await queue.renew(first, lease=LONG)
    with pytest.raises(errors.LeaseLostError):
        await queue.delete(first)
    await queue.delete(renewed)
    await queue.give_back(second, delay=LONG)
    await queue.park(third, reason="of no use")
    assert calls.taken() == {
        ("queue", "Update Message", 204): 2,
        ("queue", "Delete Message", 400): 1,
        ("queue", "Delete Message", 204): 2,
        ("queue", "Put Message", 201): 1,
    }

    await queue.depth()
    await queue.oldest_waiting()
    assert calls.taken() == {
        ("queue", "Get Queue Metadata", 200): 2,
        ("queue", "Peek Messages", 200): 2,
    }


async def test_the_calls_of_the_table_of_jobs(
    counted: tuple[Clients, CountedCalls], table_name: str
) -> None:
    """A transaction is one call, whatever it holds, also where it is refused; so is one row."""
    clients, calls = counted
    table = AzureJobTable(clients, table=table_name)
    standing = await table.add_job(JOB)
    assert calls.taken() == {
        ("table", "Insert Or Merge Entity", 204): 2,
        ("table", "Insert Entity", 201): 1,
    }
    await table.add_batches([batches.Batch(job=JOB.id, number=n, frames="1-4") for n in range(120)])
    event = events.JobEvent(at=NOW, kind=events.EventKind.QUEUED, reason="it is", by="me")
    await table.replace_job(JOB, etag=standing.etag, event=event)
    with pytest.raises(errors.ConflictError):
        await table.replace_job(JOB, etag=standing.etag, event=event)
    with pytest.raises(errors.ConflictError):
        await table.replace_job(JOB, etag=standing.etag)
    assert calls.taken() == {
        ("table", "Entity Group Transaction", 202): 4,
        ("table", "Update Entity", 412): 1,
    }

    await table.get_job(JOB.id)
    await table.get_batch(JOB.id, 7)
    with pytest.raises(errors.NotFoundError):
        await table.get_batch(JOB.id, 500)
    assert len([one async for one in table.batches_of(JOB.id)]) == 120
    assert len([one async for one in table.events_of(JOB.id)]) == 1
    assert await table.has_batches(JOB.id, states=batches.OPEN)
    (listing,) = [one for one in await table.open_jobs() if one.job == JOB.id]
    assert calls.taken() == {
        ("table", "Query Entities", 200): 6,
        ("table", "Query Entities", 404): 1,
    }

    request = ports.KnownRequest(job=JOB.id, digest="1")
    await table.remember_request("key", request)
    await table.remember_request("key", request)
    await table.unlist(listing)
    assert calls.taken() == {
        ("table", "Insert Entity", 201): 1,
        ("table", "Insert Entity", 409): 1,
        ("table", "Query Entities", 200): 1,
        ("table", "Delete Entity", 204): 1,
    }


async def test_the_calls_of_the_other_tables(
    counted: tuple[Clients, CountedCalls], table_name: str
) -> None:
    """Workers write over their own row; a counter is read once and then changed."""
    clients, calls = counted
    worker = workers.Worker(
        name="w1",
        version="1",
        blenders=("5.0",),
        cpus=1,
        memory_mib=1,
        device="CPU",
        heartbeat_seconds=30,
        started=NOW,
        heard=NOW,
        since=NOW,
    )
    table = AzureWorkerTable(clients, table=table_name)
    await table.put(worker)
    await table.all_workers()
    await table.remove(worker)
    assert calls.taken() == {
        ("table", "Insert Or Replace Entity", 204): 1,
        ("table", "Query Entities", 200): 1,
        ("table", "Delete Entity", 204): 1,
    }

    counters = AzureRateCounters(clients, table=table_name, clock=SystemClock())
    ends = datetime.datetime.now(datetime.UTC) + LONG
    await counters.add("ada", 1, ends=ends)
    made = calls.taken()
    assert {service for service, _, _ in made} == {"table"}
    assert azure_calls.OTHER not in {operation for _, operation, _ in made}


@pytest.mark.filterwarnings("ignore:Sending a large body")  # the test's own upload
async def test_the_calls_of_the_scenes(
    counted: tuple[Clients, CountedCalls], container: str, tmp_path: Path
) -> None:
    """A large scene is fetched in several calls, each of which counts."""
    clients, calls = counted
    blob = clients.blobs.get_blob_client(container, "shot.blend")
    await blob.upload_blob(bytes(40 * 2**20))
    put = calls.taken()
    assert set(put) == {("blob", "Put Blob", 201)}

    store = AzureSceneStore(clients, container=container)
    found = await store.find("shot.blend")
    assert calls.taken() == {("blob", "Get Blob Properties", 200): 1}
    await store.read(found.scene, 0, 10)
    assert calls.taken() == {("blob", "Get Blob", 206): 1}
    await store.download(found.scene, tmp_path / "shot.blend")
    assert calls.taken() == {("blob", "Get Blob", 206): 3}  # 32 MiB, and twice 4 MiB


async def test_a_call_without_an_answer_counts_each_time_it_is_tried() -> None:
    """What was sent may be billed, whether or not anybody heard of it."""
    calls = CountedCalls()
    clients = Clients(
        connection_string="DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
        "AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:1/devstoreaccount1;",
        calls=calls,
    )
    try:
        with pytest.raises(errors.UnavailableError, match="no answer"):
            await AzureSceneStore(clients, container="scenes").find("shot.blend")
    finally:
        await clients.close()
    assert calls.taken() == {("blob", "Get Blob Properties", 0): 3}


@pytest.mark.parametrize(
    ("service", "method", "url", "expected"),
    [
        ("queue", "POST", "https://a.queue.core.windows.net/render/messages?ttl=1", "Put Message"),
        ("queue", "PUT", "https://a.queue.core.windows.net/render/messages/1-2", "Update Message"),
        ("queue", "GET", "https://a.queue.core.windows.net/?comp=list", "List Queues"),
        ("table", "GET", "https://a.table.core.windows.net/jobs()?$filter=x", "Query Entities"),
        (
            "table",
            "GET",
            "https://a.table.core.windows.net/jobs(PartitionKey='a%2Fb',RowKey='c')",
            "Query Entities",
        ),
        ("table", "POST", "https://a.table.core.windows.net/Tables", "Create Table"),
        ("table", "DELETE", "https://a.table.core.windows.net/Tables('jobs')", "Delete Table"),
        (
            "blob",
            "POST",
            "https://a.blob.core.windows.net/?restype=service&comp=userdelegationkey",
            "Get User Delegation Key",
        ),
        ("blob", "PUT", "https://a.blob.core.windows.net/s/b?comp=tier", azure_calls.OTHER),
    ],
)
def test_operations_have_their_own_names(
    service: ports.HttpService, method: str, url: str, expected: str
) -> None:
    """With the account in the host's name, as in Azure; what is not known is not guessed."""
    assert azure_calls.operation_of(service, method, url, {}) == expected
