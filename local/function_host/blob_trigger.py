"""When does a blob trigger fire, and what becomes of a blob whose function fails?

The container is listed again and again; every version of a blob fires once. A function that fails
is tried again with growing delays, and after the last attempt a message on
`webjobs-blobtrigger-poison` says so (Microsoft Learn, "Azure Blob storage trigger", Poison blobs).
"""

import asyncio
import json
import logging
import re
import time
from dataclasses import dataclass

import azure.functions as func
import azure.functions.blob
from azure.core import exceptions
from azure.storage import blob
from azure.storage.blob import aio

from local.function_host import host_json, invocation, storage
from local.function_host.blob_receipts import BlobVersion, Receipts
from local.function_host.hosted_function import HostedFunction

log = logging.getLogger("local.function_host")

# A pause is at least as many times as long as the look before it: the emulator lists 500 scenes in
# 80 ms, on the cores that Blender needs.
_REST = 10
_LONGEST_REST = 1.0  # seconds
POISON_QUEUE = "webjobs-blobtrigger-poison"


@dataclass(frozen=True)
class _Failed:
    """How often a version has failed, and when it is tried again."""

    attempts: int
    again_at: float  # monotonic seconds


class BlobTrigger:
    """One function that blobs set off.

    Raises:
        InvalidRequestError: its binding cannot be carried out here.
    """

    def __init__(
        self,
        function: HostedFunction,
        settings: host_json.Blobs,
        *,
        poll_seconds: float = 0.2,
        first_delay: float = 1.0,  # seconds before the second attempt; doubled before each later
    ) -> None:
        self._function = function
        self._settings = settings
        self._poll_seconds = poll_seconds
        self._first_delay = first_delay
        self._connection = function.connection_string()
        self._container, _, pattern = function.setting("path").partition("/")
        self._prefix = pattern.partition("{")[0]
        self._pattern = _expression(pattern or "{name}")
        self._as_client = _wants_client(function)
        self._in_hand: set[BlobVersion] = set()
        self._failed: dict[BlobVersion, _Failed] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Fire for every new version, until asked to stop; then let those in hand end."""
        async with (
            aio.BlobServiceClient.from_connection_string(
                self._connection, **storage.CLIENT_OPTIONS
            ) as account,
            asyncio.TaskGroup() as in_hand,
        ):
            receipts = Receipts(account, self._function.name)
            pause = self._poll_seconds
            while not stopping.is_set():
                try:
                    await receipts.are_loaded()
                    began = time.monotonic()
                    for version in await self._due(account, receipts):
                        self._in_hand.add(version)
                        in_hand.create_task(self._fire(version, receipts))
                    rest = min((time.monotonic() - began) * _REST, _LONGEST_REST)
                    pause = max(rest, self._poll_seconds)
                except exceptions.AzureError as away:
                    pause = min(pause * 2, storage.LONGEST_PAUSE)
                    log.warning("cannot list %s, trying again: %s", self._container, away)
                await storage.pause(stopping, pause)

    async def _due(self, account: aio.BlobServiceClient, receipts: Receipts) -> list[BlobVersion]:
        """Return the versions to fire for now, as many as may run beside those in hand."""
        room = self._settings.max_degree_of_parallelism - len(self._in_hand)
        if room <= 0:
            return []
        due: list[BlobVersion] = []
        container = account.get_container_client(self._container)
        try:
            async for listed in container.list_blobs(name_starts_with=self._prefix or None):
                version = BlobVersion(listed.name, listed.etag)
                if version not in receipts and self._may_fire(version):
                    due.append(version)
                    if len(due) == room:
                        break
        except exceptions.ResourceNotFoundError:
            return []  # no container yet, so no blobs
        return due

    def _may_fire(self, version: BlobVersion) -> bool:
        failed = self._failed.get(version)
        return (
            version not in self._in_hand
            and self._pattern.fullmatch(version.name) is not None
            and (failed is None or failed.again_at <= time.monotonic())
        )

    async def _fire(self, version: BlobVersion, receipts: Receipts) -> None:
        try:
            outcome = await invocation.invoke(
                self._function,
                await self._argument(version),
                reason=f"blob {self._container}/{version.name}",
            )
            if not outcome.succeeded and not await self._given_up(version):
                return
            await receipts.add(version)
            self._failed.pop(version, None)
        except exceptions.AzureError as away:
            log.warning("blob %s will fire again: %s", version.name, away)
        finally:
            self._in_hand.discard(version)

    async def _argument(self, version: BlobVersion) -> object:
        client = blob.BlobClient.from_connection_string(
            self._connection, self._container, version.name
        )
        if self._as_client:
            return client
        content = await asyncio.to_thread(lambda: client.download_blob().readall())
        return azure.functions.blob.InputStream(
            data=content,
            name=f"{self._container}/{version.name}",
            uri=client.url,
            length=len(content),
        )

    async def _given_up(self, version: BlobVersion) -> bool:
        """Count a failed attempt; say so on the poison queue, and here, if it was the last."""
        earlier = self._failed.get(version)
        attempts = earlier.attempts + 1 if earlier else 1
        if attempts >= self._settings.poison_blob_threshold:
            await self._send_poison(version)
            log.error("blob %s given up after %s attempts", version.name, attempts)
            return True
        delay = self._first_delay * 2 ** (attempts - 1)
        self._failed[version] = _Failed(attempts, time.monotonic() + delay)
        log.warning("blob %s: attempt %s failed, next in %s s", version.name, attempts, delay)
        return False

    async def _send_poison(self, version: BlobVersion) -> None:
        message = {
            "FunctionId": f"Host.Functions.{self._function.name}",
            "BlobType": "BlockBlob",
            "ContainerName": self._container,
            "BlobName": version.name,
            "ETag": version.etag,
        }
        await storage.send_poison(self._connection, POISON_QUEUE, json.dumps(message))


def _expression(pattern: str) -> re.Pattern[str]:
    """Turn `{name}.blend` into an expression; a placeholder also stands for names with folders."""
    parts = re.split(r"\{[^}]*\}", pattern)
    return re.compile(".+".join(re.escape(part) for part in parts), re.DOTALL)


def _wants_client(function: HostedFunction) -> bool:
    wanted = function.argument_type()
    # The SDK type of azurefunctions-extensions-bindings-blob derives from the SDK's own client.
    if isinstance(wanted, type) and issubclass(wanted, blob.BlobClient):
        return True
    if wanted in (None, func.InputStream):
        return False
    raise function.refused(
        str(wanted),
        "this host hands over a BlobClient or an InputStream, nothing else",
        "Annotate the parameter with one of them",
    )
