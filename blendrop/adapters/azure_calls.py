"""Which calls go to the storage account, in the words of its own documentation?

Counted is every request that is sent, also those that are tried again and those that get no answer:
that is what the account is billed for. It is done where the SDKs hand a request to the network. A
policy would have to stand behind the one that tries again, and neither the storage SDKs nor the
tables' clients of one table take one there; all of them take a transport.
"""

import re
import urllib.parse
from collections.abc import Mapping
from typing import Any

from azure.core.pipeline import transport

from blendrop import ports

OTHER = "Other"  # what Blendrop is not known to call

# By method, and what the address asks for (Microsoft Learn, REST references of the services).
_QUEUE: Mapping[tuple[str, str], str] = {
    ("POST", "messages"): "Put Message",
    ("GET", "messages"): "Get Messages",
    ("GET", "messages?peekonly"): "Peek Messages",
    ("DELETE", "messages"): "Clear Messages",
    ("PUT", "message"): "Update Message",
    ("DELETE", "message"): "Delete Message",
    ("GET", "?metadata"): "Get Queue Metadata",
    ("PUT", ""): "Create Queue",
    ("DELETE", ""): "Delete Queue",
    ("GET", "?list"): "List Queues",
}
_TABLE: Mapping[tuple[str, str], str] = {
    ("POST", "$batch"): "Entity Group Transaction",
    ("POST", "table"): "Insert Entity",
    ("GET", "table"): "Query Entities",
    ("GET", "entity"): "Query Entities",  # a single one, too, is called so
    ("PUT", "entity"): "Insert Or Replace Entity",
    ("PATCH", "entity"): "Insert Or Merge Entity",
    ("PUT", "entity?match"): "Update Entity",
    ("PATCH", "entity?match"): "Merge Entity",
    ("DELETE", "entity"): "Delete Entity",
    ("DELETE", "entity?match"): "Delete Entity",
    ("POST", "tables"): "Create Table",
    ("GET", "tables"): "Query Tables",
    ("DELETE", "tables"): "Delete Table",
}
_BLOB: Mapping[tuple[str, str], str] = {
    ("GET", ""): "Get Blob",
    ("HEAD", ""): "Get Blob Properties",
    ("PUT", ""): "Put Blob",
    ("DELETE", ""): "Delete Blob",
    ("PUT", "?block"): "Put Block",
    ("PUT", "?blocklist"): "Put Block List",
    ("GET", "container?list"): "List Blobs",
    ("GET", "container"): "Get Container Properties",
    ("HEAD", "container"): "Get Container Properties",
    ("PUT", "container"): "Create Container",
    ("DELETE", "container"): "Delete Container",
    ("GET", "?list"): "List Containers",
    ("POST", "service?userdelegationkey"): "Get User Delegation Key",
}


def operation_of(
    service: ports.HttpService, method: str, url: str, headers: Mapping[str, str]
) -> str:
    """Return what a request asks of a service, like Put Message; one that is not known is OTHER."""
    address = urllib.parse.urlsplit(url)
    query = urllib.parse.parse_qs(address.query)
    last = address.path.rstrip("/").rpartition("/")[2]
    match service:
        case "queue":
            return _QUEUE.get((method, _of_queue(address.path, query)), OTHER)
        case "table":
            return _TABLE.get((method, _of_table(last, headers)), OTHER)
        case "blob":
            return _BLOB.get((method, _first(query, "restype") + _asked(query)), OTHER)


def _of_queue(path: str, query: Mapping[str, list[str]]) -> str:
    if re.search(r"/messages/[^/]+$", path):
        return "message"
    if path.endswith("/messages"):
        return "messages?peekonly" if _first(query, "peekonly") == "true" else "messages"
    return _asked(query)


def _of_table(last: str, headers: Mapping[str, str]) -> str:
    if last == "$batch":
        return last
    if re.fullmatch(r"Tables(\(.*\))?", urllib.parse.unquote(last)):
        return "tables"
    if re.search(r"\(.+\)$", urllib.parse.unquote(last)):
        return "entity?match" if "If-Match" in headers else "entity"
    return "table"


def _asked(query: Mapping[str, list[str]]) -> str:
    asked = _first(query, "comp")
    return f"?{asked}" if asked else ""


def _first(query: Mapping[str, list[str]], name: str) -> str:
    return query.get(name, [""])[0].lower()


class CountedTransport(transport.AioHttpTransport):  # type: ignore[misc]  # the SDK hides its type
    """The SDKs' own transport, which also tells of every request."""

    def __init__(
        self,
        service: ports.HttpService,
        calls: ports.StorageCalls,
        **bounds: Any,  # noqa: ANN401 the SDK's
    ) -> None:
        super().__init__(**bounds)
        self._service = service
        self._calls = calls

    async def send(self, request: Any, **options: Any) -> Any:  # noqa: ANN401 the SDK's, of two kinds
        """Send a request; what it came to is told whether there is an answer or not."""
        status = 0
        try:
            answer = await super().send(request, **options)
            status = answer.status_code
        finally:
            operation = operation_of(self._service, request.method, request.url, request.headers)
            self._calls.called(self._service, operation, status)
        return answer
