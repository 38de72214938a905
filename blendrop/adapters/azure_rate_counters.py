"""The counters of rate limits in an Azure table, exact over all instances.

A row counts for one client in one window. Hits that come while a write of their counter is under
way wait, and one write counts them all: a process never competes with itself, and a thousand hits
at once cost a few writes. Between processes the ETag decides; whoever loses reads and tries again.
"""

import asyncio
import datetime
import functools
import hashlib
import random
from collections.abc import Mapping
from typing import Any

from azure.core import MatchConditions

from blendrop import errors, ports
from blendrop.adapters.azure_clients import Clients, translated

# A request waits for these calls, so that they are given up much sooner than others.
_BOUNDS: dict[str, Any] = {"connection_timeout": 2, "read_timeout": 4, "retry_total": 1}  # seconds
_TRIES = 100
_LONGEST_PAUSE = 0.25  # seconds
_TRANSACTION = 100  # the most rows that one takes
_FORGOTTEN_AT_ONCE = 5_000
_REMEMBERED = 1024  # counters, before those of ended windows are dropped

Key = tuple[str, str]  # of a row: when the window ends, and whose it is


class _Counter:
    """What this process knows of one row, and who waits for it to be written."""

    def __init__(self) -> None:
        self.count = 0
        self.etag = ""  # of the row when it was last seen; empty: not seen yet
        self.writing = asyncio.Lock()
        self.boarding: asyncio.Task[int] | None = None  # the next write, which more may still join
        self.boarded = 0


class AzureRateCounters:
    """Carries out `ports.RateCounters` with Azure Table Storage."""

    def __init__(self, clients: Clients, *, table: str, clock: ports.Clock) -> None:
        self._clients = clients
        self._name = table
        self._clock = clock
        self._counters: dict[Key, _Counter] = {}
        self._tidied_at = _REMEMBERED

    @functools.cached_property
    def _table(self) -> Any:  # noqa: ANN401 the SDK's client, loaded only where it is used
        return self._clients.tables.get_table_client(self._name)

    async def add(self, counter: str, amount: int, *, ends: datetime.datetime) -> int:
        """Count on; return the count up to and including this."""
        key = (_written(ends), hashlib.sha256(counter.encode()).hexdigest()[:32])
        known = self._known(key)
        if known.boarding is None:
            known.boarded = 0
            known.boarding = asyncio.create_task(self._write_next(key, known))
        known.boarded += amount
        place = known.boarded
        # Who gives up waiting does not end the write that others wait for.
        return await asyncio.shield(known.boarding) + place

    def _known(self, key: Key) -> _Counter:
        if key not in self._counters:
            if len(self._counters) >= self._tidied_at:
                now = _written(self._clock.now())
                self._counters = {at: one for at, one in self._counters.items() if at[0] >= now}
                self._tidied_at = max(2 * len(self._counters), _REMEMBERED)
            self._counters[key] = _Counter()
        return self._counters[key]

    async def _write_next(self, key: Key, known: _Counter) -> int:
        """Count on for all who have boarded by the time it begins; return the count before."""
        async with known.writing:
            amount, known.boarding = known.boarded, None
            for tries in range(_TRIES):
                try:
                    return await self._write(key, known, amount)
                except (errors.ConflictError, errors.NotFoundError):
                    known.etag = ""
                    pause = min(0.005 * 2**tries, _LONGEST_PAUSE)
                    await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 spreads, hides nothing
        raise errors.UnavailableError(f"rate counter {key} was changed by others {_TRIES} times")

    async def _write(self, key: Key, known: _Counter, amount: int) -> int:
        entity: dict[str, Any] = {"PartitionKey": key[0], "RowKey": key[1]}
        if not known.etag:
            await self._look(key, known)
        entity["hits"] = known.count + amount
        if known.etag:
            with translated(f"count on rate counter {key}"):
                written = await self._table.update_entity(
                    entity,
                    mode="replace",
                    etag=known.etag,
                    match_condition=MatchConditions.IfNotModified,
                    **_BOUNDS,
                )
        else:
            written = await self._create(entity)
        before, known.count = known.count, known.count + amount
        known.etag = str(written["etag"])
        return before

    async def _create(self, entity: dict[str, Any]) -> Mapping[str, Any]:
        try:
            with translated("begin a rate counter"):
                created: Mapping[str, Any] = await self._table.create_entity(entity, **_BOUNDS)
        except errors.NotFoundError as missing:
            # Not a row that another instance removed: nothing would change by trying again.
            raise errors.UnavailableError(f"there is no table {self._name}") from missing
        return created

    async def _look(self, key: Key, known: _Counter) -> None:
        known.count = 0
        try:
            with translated(f"read rate counter {key}"):
                entity = await self._table.get_entity(*key, **_BOUNDS)
        except errors.NotFoundError:
            return
        known.count, known.etag = int(entity["hits"]), str(entity.metadata["etag"])

    async def forget(self, *, before: datetime.datetime) -> int:
        """Remove the counters of windows that ended before then; return how many those were."""
        by_end: dict[str, list[str]] = {}
        found = 0
        # Rows are sorted by when their window ends: this reads the old ones alone.
        query = f"PartitionKey lt '{_written(before)}'"
        with translated("look for old rate counters"):
            async for row in self._table.query_entities(query, select=["PartitionKey", "RowKey"]):
                by_end.setdefault(row["PartitionKey"], []).append(row["RowKey"])
                found += 1
                if found == _FORGOTTEN_AT_ONCE:
                    break
        for end, names in by_end.items():
            for start in range(0, len(names), _TRANSACTION):
                await self._remove(end, names[start : start + _TRANSACTION])
        return found

    async def _remove(self, end: str, names: list[str]) -> None:
        deletions = [("delete", {"PartitionKey": end, "RowKey": name}) for name in names]
        try:
            with translated(f"remove {len(names)} old rate counters"):
                await self._table.submit_transaction(deletions)
        except errors.NotFoundError:
            return  # another instance is removing them just now


def _written(time: datetime.datetime) -> str:
    """Return a time as text that sorts as times do; a window ends on a whole second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
