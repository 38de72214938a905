"""Does the published package work inside Microsoft's own Python worker?"""

import base64
import json
import re
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from azure.data.tables import aio as tables
from azure.storage.blob import aio as blobs
from azure.storage.queue import aio as queues

from blendrop import __version__, settings
from blendrop.domain import jobs
from infra.checks import packages
from local import azurite, farm_storage
from tests.doubles import azure_worker, otlp_receiver
from tests.doubles.azure_worker import Worker, started
from tests.doubles.blend_file import head

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

REPOSITORY = Path(__file__).parents[2]
# What Azure's host takes for the name of a binding's argument: its own pattern, which the worker
# does not know.
HOST_NAME = re.compile(r"(^[A-Za-z][A-Za-z0-9]{0,127}$)|(^\$return$)")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with what Azure installs, and Microsoft's worker."""
    return azure_worker.installed(tmp_path_factory.mktemp("worker"))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it is published, unpacked where Azure would."""
    folder = tmp_path_factory.mktemp("site")
    packages.pack_functions(REPOSITORY, folder / "package.zip")
    with zipfile.ZipFile(folder / "package.zip") as packed:
        packed.extractall(folder / "wwwroot")
    return folder / "wwwroot"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def account(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A storage account of its own, with what the farm needs in it."""
    folder = tmp_path_factory.mktemp("azurite")
    async with azurite.running(folder, log=folder / "azurite.log") as running:
        await farm_storage.create(running.connection_string)
        yield running.connection_string


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(
    python: Path, app: Path, account: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Worker]:
    """A worker as on Flex Consumption, with the app indexed and loaded."""
    share = tmp_path_factory.mktemp("share")
    async with started(python, app, account, share, BLENDROP_UPLOADS_DOOR="event-grid") as running:
        await running.index()
        yield running


def _event(account: blobs.BlobServiceClient, name: str) -> str:
    """Return what Event Grid puts on the queue for an upload.

    Source: Microsoft Learn, "Azure Blob Storage as an Event Grid source".
    """
    return json.dumps(
        {
            "specversion": "1.0",
            "type": "Microsoft.Storage.BlobCreated",
            "source": "/subscriptions/0/resourceGroups/farm",
            "id": "a",
            "time": "2026-11-24T20:00:00Z",
            "subject": f"/blobServices/default/containers/{settings.SCENES_CONTAINER}/blobs/{name}",
            "data": {"api": "PutBlob", "url": account.get_blob_client("scenes", name).url},
        }
    )


async def _messages(account: str) -> list[dict[str, Any]]:
    async with queues.QueueClient.from_connection_string(account, settings.BATCHES_QUEUE) as queue:
        return [json.loads(one.content) for one in await queue.peek_messages(32)]


async def _upload(account: str, name: str) -> tuple[str, str]:
    """Upload a scene of nine frames; return its job's id, and the event that tells of it."""
    async with blobs.BlobServiceClient.from_connection_string(account) as service:
        blob = service.get_blob_client(settings.SCENES_CONTAINER, name)
        await blob.upload_blob(head(("Scene", 1, 9)), overwrite=True)
        etag = (await blob.get_blob_properties()).etag
        return jobs.id_of_upload(name, str(etag)), _event(service, name)


def _own_lines(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return our own lines of an answer: each is one JSON object, and belongs to a call."""
    lines = [one for one in answer["lines"] if one["logger"].startswith(("blendrop", "functions"))]
    assert lines, answer["lines"]
    assert all(one["invocation_id"] for one in lines)
    return [json.loads(one["message"]) for one in lines]


@pytest.mark.parametrize(
    "door_and_function", [("event-grid", "scene_upload_event"), ("poll", "scene_uploaded")]
)
async def test_every_function_is_found_as_the_host_wants_it(
    python: Path, app: Path, account: str, tmp_path: Path, door_and_function: tuple[str, str]
) -> None:
    """By names that the host takes, on our queue and our connection."""
    door, function = door_and_function
    async with started(python, app, account, tmp_path, BLENDROP_UPLOADS_DOOR=door) as running:
        found = await running.index()

    bindings = [json.loads(raw) for one in found.values() for raw in one["raw_bindings"]]
    triggers = {one["type"]: one for one in bindings}
    own = json.loads(found[function]["raw_bindings"][0])
    assert set(found) == {"attend_due_job", "http_app_func", "sweep", function}
    assert [one["name"] for one in bindings if not HOST_NAME.match(one["name"])] == []
    assert not [one for one in bindings if "%" in json.dumps(one)]
    assert triggers["httpTrigger"]["route"] == "/{*route}"
    assert triggers["httpTrigger"]["authLevel"] == "FUNCTION"
    if door == "event-grid":
        assert (own["type"], own["queueName"]) == ("queueTrigger", settings.UPLOADS_QUEUE)
        assert own["connection"] == settings.STORAGE_CONNECTION
        assert "blobTrigger" not in triggers  # Flex Consumption would refuse the app
    else:
        assert triggers["blobTrigger"]["properties"]["SupportsDeferredBinding"] is True


async def test_health_is_answered(worker: Worker) -> None:
    """Through FastAPI, under the path that the host does not strip."""
    answer = await worker.get("/api/health")

    assert answer["status_code"] == "200"
    assert json.loads(answer["body"]["bytes"])["version"] == __version__


async def test_prometheus_is_answered_with_what_azure_installs(worker: Worker) -> None:
    """Its library is loaded by the one endpoint that needs it."""
    answer = await worker.get("/api/metrics")

    assert answer["status_code"] == "200", answer
    assert 'blendrop_workers{state="idle"} 0.0' in answer["body"]["bytes"]


async def test_an_unknown_job_is_a_problem_and_no_failure(worker: Worker) -> None:
    """Our handlers of errors hold inside the worker, too."""
    answer = await worker.get("/api/jobs/nothing")

    assert answer["status_code"] == "404"
    assert answer["headers"]["content-type"] == "application/problem+json"


@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "base64"])
async def test_an_event_makes_a_job_with_its_batches(
    worker: Worker, account: str, *, encoded: bool
) -> None:
    """The trace goes on in the messages, and each log line belongs to its call."""
    job_id, event = await _upload(account, f"event {encoded}.blend")
    body = base64.b64encode(event.encode()).decode() if encoded else event

    answer = await worker.invoke("scene_upload_event", {"message": {"string": body}}, trace=TRACE)

    sent = [one for one in await _messages(account) if one["job"] == job_id]
    assert answer["result"] == {"status": "success"}
    assert sorted(one["frames"] for one in sent) == [str(number) for number in range(1, 10)]
    assert {one["traceparent"].split("-")[1] for one in sent} == {TRACE.split("-")[1]}
    about_job = [line for line in _own_lines(answer) if line.get("job") == job_id]
    assert {line["trace_id"] for line in about_job} == {TRACE.split("-")[1]}
    assert (await worker.get(f"/api/jobs/{job_id}"))["status_code"] == "200"


async def test_what_is_no_event_fails_with_the_reason(worker: Worker) -> None:
    """The host tries again, and parks it at last."""
    answer = await worker.invoke("scene_upload_event", {"message": {"string": "hello"}})

    assert answer["result"]["status"] == "failure"
    assert "CloudEventSchemaV1_0" in answer["result"]["exception"]["message"]


async def test_a_secret_reaches_the_host_by_no_way(worker: Worker) -> None:
    """Neither in a line, nor in the failure that the worker reports by itself."""
    planted = "cGxhbnRlZCBzZWNyZXQ"
    body = f"AccountKey={planted}== https://farm/a?sig={planted} Authorization: Bearer {planted}"

    for function in ("scene_upload_event", "attend_due_job"):
        answer = await worker.invoke(function, {"message": {"string": body}}, trace=TRACE)

        assert answer["result"]["status"] == "failure"
        assert "[redacted]" in answer["result"]["exception"]["message"]
        (failed,) = [one for one in _own_lines(answer) if one["event"] == "invocation_failed"]
        assert failed["trace_id"] == TRACE.split("-")[1]
        assert planted not in json.dumps(answer)


async def test_the_timer_sends_a_lost_message_again(worker: Worker, account: str) -> None:
    """It is a sweep, not only a call that returns."""
    job_id, event = await _upload(account, "lost.blend")
    await worker.invoke("scene_upload_event", {"message": {"string": event}})
    async with queues.QueueClient.from_connection_string(account, settings.BATCHES_QUEUE) as queue:
        await queue.clear_messages()
    timer = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}

    answer = await worker.invoke("sweep", {"timer": {"json": json.dumps(timer)}})

    assert answer["result"] == {"status": "success"}
    sent = [one for one in await _messages(account) if one["job"] == job_id]
    assert sorted(one["frames"] for one in sent) == [str(number) for number in range(1, 10)]
    (swept,) = [line for line in _own_lines(answer) if line["event"] == "swept"]
    assert re.fullmatch("[0-9a-f]{32}", swept["trace_id"])


async def test_a_polled_blob_reaches_the_same_use_case(
    python: Path, app: Path, account: str, tmp_path: Path
) -> None:
    """By a client for the blob, so that no content passes through the worker."""
    job_id, _ = await _upload(account, "polled.blend")
    reference = {
        "version": "1.0",
        "source": "AzureStorageBlobs",
        "content_type": "application/json",
        "content": {
            "Connection": settings.STORAGE_CONNECTION,
            "ContainerName": settings.SCENES_CONTAINER,
            "BlobName": "polled.blend",
        },
    }
    async with started(python, app, account, tmp_path, BLENDROP_UPLOADS_DOOR="poll") as running:
        await running.index()
        given = {"uploaded": {"model_binding_data": reference}}
        answer = await running.invoke("scene_uploaded", given, trace=TRACE)

    async with tables.TableClient.from_connection_string(account, settings.JOBS_TABLE) as table:
        rows = [row async for row in table.query_entities(f"PartitionKey eq '{job_id}'")]
    assert answer["result"] == {"status": "success"}
    assert rows


async def test_spans_leave_the_worker(
    python: Path, app: Path, account: str, tmp_path: Path
) -> None:
    """With what the package requires, and nothing of our own environment."""
    _, event = await _upload(account, "traced.blend")
    async with (
        otlp_receiver.receiving() as receiver,
        started(
            python,
            app,
            account,
            tmp_path,
            BLENDROP_UPLOADS_DOOR="event-grid",
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.address,
        ) as running,
    ):
        await running.index()
        given = {"message": {"string": event}}
        answer = await running.invoke("scene_upload_event", given, trace=TRACE)
        await receiver.until(lambda spans: len(spans) >= 3)

    assert answer["result"] == {"status": "success"}
    by_name = {one.name: one for one in receiver.of(TRACE.split("-")[1])}
    assert by_name["scene_upload_event"].parent == TRACE.split("-")[2]
    assert by_name["send render-batches"].parent == by_name["scene_upload_event"].id
    assert by_name["plan job"].parent == by_name["scene_upload_event"].id


async def test_an_app_that_lacks_a_setting_says_which(
    python: Path, app: Path, account: str, tmp_path: Path
) -> None:
    """Where the host shows why it found no function."""
    async with started(python, app, account, tmp_path, BLENDROP_NEWEST_BLENDER="") as running:
        answer = await running.ask(index=True)

    assert answer["result"]["status"] == "failure"
    assert "BLENDROP_NEWEST_BLENDER" in answer["result"]["exception"]["message"]
