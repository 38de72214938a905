"""Which versions of which blobs has a function seen?

A receipt is a small blob in the container `azure-webjobs-hosts` of the same account, as in Azure,
so that a restart of the host fires no trigger again.
"""

import contextlib
import hashlib
import json
from typing import NamedTuple

from azure.core import exceptions
from azure.storage.blob import aio

_CONTAINER = "azure-webjobs-hosts"


class BlobVersion(NamedTuple):
    """One version of a blob."""

    name: str
    etag: str


class Receipts:
    """The receipts of one function."""

    def __init__(self, account: aio.BlobServiceClient, function_name: str) -> None:
        self._container = account.get_container_client(_CONTAINER)
        self._folder = f"blobreceipts/local/{function_name}/"
        self._known: set[str] | None = None

    async def are_loaded(self) -> None:
        """Read the receipts that an earlier run left, once.

        Raises:
            azure.core.exceptions.AzureError: the storage is away.
        """
        if self._known is not None:
            return
        with contextlib.suppress(exceptions.ResourceExistsError):
            await self._container.create_container()
        names = self._container.list_blob_names(name_starts_with=self._folder)
        self._known = {name.removeprefix(self._folder) async for name in names}

    def __contains__(self, version: BlobVersion) -> bool:
        return self._known is not None and _digest(version) in self._known

    async def add(self, version: BlobVersion) -> None:
        """Note that a version has been dealt with.

        Raises:
            azure.core.exceptions.AzureError: the storage is away.
        """
        receipt = json.dumps(version._asdict(), ensure_ascii=False)
        await self._container.upload_blob(
            self._folder + _digest(version), receipt.encode(), overwrite=True
        )
        if self._known is not None:
            self._known.add(_digest(version))


def _digest(version: BlobVersion) -> str:
    """Return a name for a receipt, whatever the blob is called and however long its name is."""
    return hashlib.sha256(f"{version.name}\n{version.etag}".encode()).hexdigest()
