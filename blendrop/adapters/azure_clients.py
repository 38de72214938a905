"""How is the storage account reached, and what do its failures mean?"""

import contextlib
import functools
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from azure.core import exceptions

from blendrop import errors, ports

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.data.tables.aio import TableServiceClient
    from azure.storage.blob.aio import BlobServiceClient
    from azure.storage.queue.aio import QueueServiceClient

# The emulator's account and key are public (Microsoft Learn, "Use the Azurite emulator"). The
# host's short form for it is not known to the Python SDKs.
_DEVELOPMENT = "UseDevelopmentStorage=true"
_EMULATOR = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)
# All tries of a call together end well within a lease: the SDKs' own defaults do not.
_BOUNDS: dict[str, Any] = {
    "connection_timeout": 5,  # seconds
    "read_timeout": 10,  # seconds
    "retry_total": 2,
}
_DOWNLOADED = 256 * 1024  # bytes read at once: the storage SDKs' own choice for their transport
_STORAGE_RETRIES: dict[str, Any] = {"initial_backoff": 0.5, "increment_base": 1}
_TRY_LATER = frozenset({408, 429, 500, 502, 503, 504})


class Clients:
    """The services of one storage account, each connected at its first use.

    With a connection string, that; else the services' addresses and the identity of `client_id`,
    or whichever the environment offers. `calls` is told of every request.
    """

    def __init__(
        self,
        *,
        connection_string: str = "",
        blob_address: str = "",
        queue_address: str = "",
        table_address: str = "",
        client_id: str = "",
        calls: ports.StorageCalls | None = None,
    ) -> None:
        self._connection_string = (
            _EMULATOR if connection_string.strip() == _DEVELOPMENT else connection_string
        )
        self._blob_address = blob_address
        self._queue_address = queue_address
        self._table_address = table_address
        self._client_id = client_id
        self._calls = calls or ports.StorageCalls()
        self._stack = contextlib.AsyncExitStack()

    async def close(self) -> None:
        """Close every connection."""
        await self._stack.aclose()

    @functools.cached_property
    def blobs(self) -> "BlobServiceClient":
        """The blob service."""
        from azure.storage.blob.aio import BlobServiceClient  # noqa: PLC0415 loaded where used

        bounds = self._bounds("blob") | _STORAGE_RETRIES
        client = (
            BlobServiceClient.from_connection_string(self._connection_string, **bounds)
            if self._connection_string
            else BlobServiceClient(self._blob_address, self._credential, **bounds)
        )
        self._stack.push_async_callback(client.close)
        return client

    @functools.cached_property
    def queues(self) -> "QueueServiceClient":
        """The queue service. Messages are plain text, as host.json says to the host, too."""
        from azure.storage.queue.aio import QueueServiceClient  # noqa: PLC0415 loaded where used

        bounds = self._bounds("queue") | _STORAGE_RETRIES
        client = (
            QueueServiceClient.from_connection_string(self._connection_string, **bounds)
            if self._connection_string
            else QueueServiceClient(self._queue_address, self._credential, **bounds)
        )
        self._stack.push_async_callback(client.close)
        return client

    @functools.cached_property
    def tables(self) -> "TableServiceClient":
        """The table service."""
        from azure.data.tables.aio import TableServiceClient  # noqa: PLC0415 loaded where used

        bounds = self._bounds("table")
        client = (
            TableServiceClient.from_connection_string(self._connection_string, **bounds)
            if self._connection_string
            else TableServiceClient(
                endpoint=self._table_address, credential=self._credential, **bounds
            )
        )
        self._stack.push_async_callback(client.close)
        return client

    def _bounds(self, service: ports.HttpService) -> dict[str, Any]:
        from blendrop.adapters import azure_calls  # noqa: PLC0415 it loads the network's library

        counted = azure_calls.CountedTransport(
            service,
            self._calls,
            connection_data_block_size=_DOWNLOADED,
            # Looking for a proxy and for ~/.netrc costs a hop to another thread for every request.
            use_env_settings=bool(urllib.request.getproxies()),
            **_BOUNDS,
        )
        return _BOUNDS | {"transport": counted}

    @functools.cached_property
    def _credential(self) -> "AsyncTokenCredential":
        from azure.identity import aio  # noqa: PLC0415 loaded where used

        credential = (
            aio.ManagedIdentityCredential(client_id=self._client_id)
            if self._client_id
            else aio.DefaultAzureCredential()
        )
        self._stack.push_async_callback(credential.close)
        return credential


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise the SDKs' errors as ours; `doing` names the deed and its object, like "read job x".

    The SDKs' texts are not passed on whole: they can hold addresses with signatures.
    """
    try:
        yield
    except exceptions.HttpResponseError as failed:
        if failed.status_code == HTTPStatus.NOT_FOUND:  # a transaction's is an error of its own
            raise errors.NotFoundError(f"cannot {doing}: there is no such thing") from failed
        code = getattr(failed, "error_code", None) or failed.reason or ""
        said = f"cannot {doing}: the storage answered {failed.status_code} {code}".rstrip()
        if failed.status_code in (409, 412):
            raise errors.ConflictError(said) from failed
        if failed.status_code in _TRY_LATER or failed.status_code is None:
            raise errors.UnavailableError(said) from failed
        if failed.status_code in (401, 403):
            raise errors.UnavailableError(
                f"{said}. Give the identity the roles that docs/deploy.md lists; new role "
                "assignments can take minutes to count"
            ) from failed
        raise
    except (exceptions.ServiceRequestError, exceptions.ServiceResponseError, TimeoutError) as away:
        raise errors.UnavailableError(
            f"cannot {doing}: the storage gave no answer ({type(away).__name__})"
        ) from away
