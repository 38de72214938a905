"""Does the small host do what the Functions host does, with a real storage account?"""

import asyncio
import contextlib
import json
import socket
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import azure.functions as func
import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient
from azurefunctions.extensions.bindings.blob import BlobClient

from blendrop import errors
from local.function_host import host, host_json, hosted_function
from local.function_host.blob_trigger import BlobTrigger
from local.function_host.host_json import Blobs, Extensions, Queues
from local.function_host.hosted_function import HostedFunction
from local.function_host.queue_trigger import QueueTrigger


def functions_of(app: func.FunctionApp, connection: str = "") -> list[HostedFunction]:
    """Return an app's functions, as the host reads them."""
    return list(hosted_function.read(app, {"STORE": connection}))


@contextlib.asynccontextmanager
async def hosted(triggers: Sequence[host.Trigger]) -> AsyncIterator[None]:
    """Run triggers for as long as the block runs."""
    stopping = asyncio.Event()
    running = asyncio.create_task(host.run_until(stopping, triggers))
    try:
        yield
    finally:
        stopping.set()
        await asyncio.wait_for(running, 10)


async def test_a_version_of_a_blob_fires_once_even_after_a_restart(storage_account: str) -> None:
    """The function gets a client, never the content; names come as they are."""
    container = f"c{uuid.uuid4().hex}"
    fired: asyncio.Queue[str] = asyncio.Queue()
    app = func.FunctionApp()

    @app.function_name(f"seen_{container}")
    @app.blob_trigger(arg_name="uploaded", path=f"{container}/{{name}}", connection="STORE")
    async def seen(uploaded: BlobClient) -> None:
        fired.put_nowait(f"{uploaded.blob_name} {type(uploaded).__name__}")

    (function,) = functions_of(app, storage_account)

    name = "a b/Küche 100%.blend"
    async with BlobServiceClient.from_connection_string(storage_account) as service:
        await service.create_container(container)
        blob = service.get_blob_client(container, name)
        await blob.upload_blob(b"one")
        async with hosted([BlobTrigger(function, Blobs(), poll_seconds=0.05)]):
            assert await asyncio.wait_for(fired.get(), 10) == f"{name} BlobClient"
        async with hosted([BlobTrigger(function, Blobs(), poll_seconds=0.05)]):
            await asyncio.sleep(0.3)
            assert fired.empty()
            await blob.upload_blob(b"two", overwrite=True)
            assert (await asyncio.wait_for(fired.get(), 10)).startswith(name)
        assert fired.empty()


async def test_a_blob_whose_function_fails_is_given_up_where_people_look(
    storage_account: str,
) -> None:
    """After as many attempts as host.json says, with growing delays."""
    container = f"c{uuid.uuid4().hex}"
    attempts: list[str] = []
    app = func.FunctionApp()

    @app.function_name(f"failing_{container}")
    @app.blob_trigger(arg_name="uploaded", path=f"{container}/{{name}}", connection="STORE")
    async def failing(uploaded: BlobClient) -> None:
        attempts.append(uploaded.blob_name)
        raise ValueError("no")

    (function,) = functions_of(app, storage_account)
    trigger = BlobTrigger(
        function, Blobs(poisonBlobThreshold=3), poll_seconds=0.05, first_delay=0.05
    )
    async with (
        BlobServiceClient.from_connection_string(storage_account) as service,
        QueueServiceClient.from_connection_string(storage_account) as queues,
    ):
        await service.create_container(container)
        await service.get_blob_client(container, "x.blend").upload_blob(b"one")
        poison = queues.get_queue_client("webjobs-blobtrigger-poison")
        async with hosted([trigger]), asyncio.timeout(20):
            found: set[str] = set()
            while container not in found:
                await asyncio.sleep(0.1)
                with contextlib.suppress(ResourceNotFoundError):  # no poison queue yet
                    peeked = await poison.peek_messages(32)
                    found = {json.loads(one.content)["ContainerName"] for one in peeked}
    assert attempts == ["x.blend"] * 3


@pytest.mark.parametrize("encoding", ["none", "base64"])
async def test_a_message_whose_function_fails_moves_to_the_poison_queue(
    storage_account: str, encoding: str
) -> None:
    """One that succeeds is deleted; the count of deliveries is handed over."""
    name = f"q{uuid.uuid4().hex}"
    seen: list[tuple[str, int | None]] = []
    app = func.FunctionApp()

    @app.function_name("take")
    @app.queue_trigger(arg_name="message", queue_name=name, connection="STORE")
    async def take(message: func.QueueMessage) -> None:
        seen.append((message.get_body().decode(), message.dequeue_count))
        if message.get_body() == b"bad":
            raise ValueError("no")

    texts = {"none": ("good", "bad"), "base64": ("Z29vZA==", "YmFk")}[encoding]
    (function,) = functions_of(app, storage_account)
    settings = Queues(maxDequeueCount=3, messageEncoding=encoding, maxPollingInterval="00:00:01")
    async with QueueServiceClient.from_connection_string(storage_account) as service:
        queue = await service.create_queue(name)
        for text in texts:
            await queue.send_message(text)
        async with hosted([QueueTrigger(function, settings)]), asyncio.timeout(20):
            while (await queue.get_queue_properties()).approximate_message_count:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        parked = await service.get_queue_client(f"{name}-poison").peek_messages(5)

    assert seen[0][0] in {"good", "bad"}
    assert sorted(seen) == [("bad", 1), ("bad", 2), ("bad", 3), ("good", 1)]
    assert [one.content for one in parked] == [texts[1]]


async def test_a_port_that_is_taken_is_named() -> None:
    """Another host may be running."""
    app = func.FunctionApp()

    @app.route("hello")
    async def hello(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse("hello")

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(errors.UnavailableError, match=str(port)):
            host.triggers(functions_of(app), Extensions(), port=port)


def test_a_trigger_that_it_does_not_know_is_refused() -> None:
    """Rather than never fire."""
    app = func.FunctionApp()

    @app.function_name("watch")
    @app.event_hub_message_trigger(arg_name="event", event_hub_name="hub", connection="STORE")
    def watch(event: func.EventHubEvent) -> None:
        """Do nothing."""

    with pytest.raises(errors.InvalidRequestError, match="watch"):
        functions_of(app)


@pytest.mark.parametrize("text", ["", "[]", '{"extensions": {"queues": {"batchSize": 99}}}'])
def test_a_host_json_that_is_wrong_is_named(tmp_path: Path, text: str) -> None:
    """With what to do."""
    path = tmp_path / "host.json"
    path.write_text(text)
    with pytest.raises(errors.InvalidRequestError, match=r"host\.json"):
        host_json.read(path)


def test_our_own_host_json_is_read() -> None:
    """Messages are plain text, and routes have no prefix."""
    settings = host_json.read(Path(__file__).parents[4] / "host.json")
    assert settings.queues.message_encoding == "none"
    assert settings.http.route_prefix == ""
