"""Jobs and batches in an Azure table."""

import asyncio
import functools
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any, TypeVar

from azure.core import MatchConditions

from blendrop import errors, ports
from blendrop.adapters import job_entities
from blendrop.adapters.azure_clients import Clients, translated
from blendrop.domain import batches, events, jobs

# The most that one transaction takes (Microsoft Learn, "Performing entity group transactions"); the
# emulator answers a larger one with something that is no answer.
_TRANSACTION = 100
_TRANSACTIONS_AT_ONCE = 8
_READ_AT_ONCE = 16

Row = TypeVar("Row", jobs.Job, batches.Batch)
Operation = tuple[str, job_entities.Entity, dict[str, Any]]  # of one entity, as the SDK takes it


class AzureJobTable:
    """Carries out `ports.JobTable` with Azure Table Storage."""

    def __init__(self, clients: Clients, *, table: str) -> None:
        self._clients = clients
        self._name = table

    @functools.cached_property
    def _table(self) -> Any:  # noqa: ANN401 the SDK's client, loaded only where it is used
        return self._clients.tables.get_table_client(self._name)

    async def add_job(
        self, job: jobs.Job, *, event: events.JobEvent | None = None
    ) -> ports.Versioned[jobs.Job]:
        """Add a job and list it; if it is there already, return the row that stands."""
        if not job.ended:
            await self.list_open(job.id)
        try:
            with translated(f"add job {job.id}"):
                row = job_entities.of_job(job)
                if event is None:
                    etag = str((await self._table.create_entity(row))["etag"])
                else:
                    etag = await self._with_event(("create", row, {}), event)
            standing = ports.Versioned(job, etag)
        except errors.ConflictError:
            standing = await self.get_job(job.id)
        with translated(f"list job {job.id}"):
            await self._table.upsert_entity(job_entities.listed_by_time(standing.row))
        return standing

    async def get_job(self, job_id: str) -> ports.Versioned[jobs.Job]:
        """Return a job. Raises NotFoundError."""
        with translated(f"read job {job_id}"):
            entity = await self._table.get_entity(job_id, job_entities.JOB)
        return _versioned(jobs.Job, entity)

    async def replace_job(
        self, job: jobs.Job, *, etag: str, event: events.JobEvent | None = None
    ) -> ports.Versioned[jobs.Job]:
        """Change a job's row and write the event, if nobody has since. Raises ConflictError."""
        with translated(f"change job {job.id}"):
            replaced = await self._replaced(job_entities.of_job(job), etag, event)
        return ports.Versioned(job, replaced)

    async def remember_request(self, key: str, request: ports.KnownRequest) -> ports.KnownRequest:
        """Note which job a request makes; return what was noted first under that key."""
        try:
            with translated(f"note the request of job {request.job}"):
                await self._table.create_entity(job_entities.of_request(key, request))
        except errors.ConflictError:
            with translated(f"read the request of job {request.job}"):
                noted = await self._table.get_entity(job_entities.REQUEST, key)
            return ports.KnownRequest(job=noted["job"], digest=noted["digest"])
        return request

    async def latest_of(self, frames_key: str) -> str:
        """Return the job that was noted last to have frames of that key; empty if none was."""
        try:
            with translated("look for a job with the same frames"):
                noted = await self._table.get_entity(job_entities.FRAMES, frames_key)
        except errors.NotFoundError:
            return ""
        return str(noted["job"])

    async def note_latest(self, frames_key: str, job_id: str) -> None:
        """Note that a job has frames of that key, or is about to."""
        with translated(f"note the frames of job {job_id}"):
            await self._table.upsert_entity(job_entities.of_latest(frames_key, job_id))

    async def add_batches(self, job_batches: Sequence[batches.Batch]) -> None:
        """Add the batches of one job; those that are there already stay as they are."""
        groups = iter(
            [
                job_batches[start : start + _TRANSACTION]
                for start in range(0, len(job_batches), _TRANSACTION)
            ]
        )

        async def adder() -> None:
            for group in groups:
                await self._add_group(group)

        done = await asyncio.gather(
            *(adder() for _ in range(_TRANSACTIONS_AT_ONCE)), return_exceptions=True
        )
        for failed in done:
            if failed is not None:
                raise failed

    async def _add_group(self, group: Sequence[batches.Batch]) -> None:
        creations = [("create", job_entities.of_batch(batch)) for batch in group]
        try:
            with translated(f"add {len(group)} batches of job {group[0].job}"):
                await self._table.submit_transaction(creations)
        except errors.ConflictError:
            # An earlier run was cut off: a transaction is all or nothing, so one at a time.
            for batch in group:
                await self._add_batch(batch)

    async def _add_batch(self, batch: batches.Batch) -> None:
        try:
            with translated(f"add batch {batch.number} of job {batch.job}"):
                await self._table.create_entity(job_entities.of_batch(batch))
        except errors.ConflictError:
            return  # it stands already, perhaps further on by now

    async def get_batch(self, job_id: str, number: int) -> ports.Versioned[batches.Batch]:
        """Return a batch. Raises NotFoundError."""
        with translated(f"read batch {number} of job {job_id}"):
            entity = await self._table.get_entity(job_id, job_entities.batch_key(number))
        return _versioned(batches.Batch, entity)

    async def replace_batch(
        self, batch: batches.Batch, *, etag: str, event: events.JobEvent | None = None
    ) -> ports.Versioned[batches.Batch]:
        """Change a batch's row and write the event, if nobody has since. Raises ConflictError."""
        with translated(f"change batch {batch.number} of job {batch.job}"):
            replaced = await self._replaced(job_entities.of_batch(batch), etag, event)
        return ports.Versioned(batch, replaced)

    async def split_batch(
        self, kept: batches.Batch, tails: Sequence[batches.Batch], *, etag: str
    ) -> ports.Versioned[batches.Batch]:
        """Change a batch's row and add what was cut off it: all of it, or nothing."""
        added: list[Operation] = [("create", job_entities.of_batch(tail), {}) for tail in tails]
        with translated(f"split batch {kept.number} of job {kept.job}"):
            written = await self._table.submit_transaction(
                [("update", job_entities.of_batch(kept), _if_unchanged(etag)), *added]
            )
        return ports.Versioned(kept, str(written[0]["etag"]))

    async def _replaced(
        self, entity: job_entities.Entity, etag: str, event: events.JobEvent | None
    ) -> str:
        """Replace a row, and in the same transaction write the event; return the row's ETag."""
        unchanged = _if_unchanged(etag)
        if event is not None:
            return await self._with_event(("update", entity, unchanged), event)
        # A transaction of one would do, but costs the SDK several times the CPU.
        return str((await self._table.update_entity(entity, **unchanged))["etag"])

    async def _with_event(self, operation: Operation, event: events.JobEvent) -> str:
        happened = job_entities.of_event(operation[1]["PartitionKey"], event)
        written = await self._table.submit_transaction([operation, ("create", happened, {})])
        return str(written[0]["etag"])

    async def batches_of(
        self, job_id: str, *, states: Collection[batches.BatchState] = ()
    ) -> AsyncIterator[ports.Versioned[batches.Batch]]:
        """Yield a job's batches by number; only those in one of `states`, if any are named."""
        query = _batches(job_id, states)
        with translated(f"read the batches of job {job_id}"):
            async for entity in self._table.query_entities(query):
                yield _versioned(batches.Batch, entity)

    async def batches_from(
        self, job_id: str, number: int, *, count: int
    ) -> Sequence[ports.Versioned[batches.Batch]]:
        """Return those of a job's batches that have `number` or one of the `count - 1` after it."""
        first, end = (job_entities.batch_key(one) for one in (number, number + count))
        query = f"PartitionKey eq '{_quoted(job_id)}' and RowKey ge '{first}' and RowKey lt '{end}'"
        with translated(f"read batches of job {job_id} from {number} on"):
            return [
                _versioned(batches.Batch, entity)
                async for entity in self._table.query_entities(query)
            ]

    async def has_batches(self, job_id: str, *, states: Collection[batches.BatchState]) -> bool:
        """Tell whether a job has a batch in one of `states`, without reading them all."""
        with translated(f"look for batches of job {job_id}"):
            found = self._table.query_entities(
                _batches(job_id, states), results_per_page=1, select=["RowKey"]
            )
            return await anext(aiter(found), None) is not None

    async def events_of(self, job_id: str) -> AsyncIterator[events.JobEvent]:
        """Yield what happened to a job, oldest first."""
        with translated(f"read the events of job {job_id}"):
            async for entity in self._table.query_entities(
                _range(job_id, job_entities.EVENT_PREFIX)
            ):
                yield job_entities.to_row(events.JobEvent, entity)

    async def list_jobs(self, *, page_size: int, token: str = "") -> tuple[Sequence[jobs.Job], str]:
        """Return a page of jobs, newest first, and the token of the next page or an empty one."""
        after = f" and RowKey gt '{_quoted(token)}'" if token else ""
        query = f"PartitionKey eq '{job_entities.BY_TIME}'{after}"
        listed: list[job_entities.Entity] = []
        with translated("list jobs"):
            async for entity in self._table.query_entities(query, results_per_page=page_size + 1):
                listed.append(dict(entity))
                if len(listed) > page_size:
                    break
        page, more = listed[:page_size], len(listed) > page_size
        reading = asyncio.Semaphore(_READ_AT_ONCE)

        async def read(job_id: str) -> jobs.Job | None:
            async with reading:
                try:
                    return (await self.get_job(job_id)).row
                except errors.NotFoundError:
                    return None  # listed, and cut off before its row was added

        shown = await asyncio.gather(*(read(entity["job"]) for entity in page))
        return [job for job in shown if job is not None], page[-1]["RowKey"] if more else ""

    async def list_open(self, job_id: str) -> None:
        """List a job as one that has not ended."""
        with translated(f"list job {job_id}"):
            await self._table.upsert_entity(job_entities.listed_open(job_id))

    async def open_jobs(self) -> Sequence[ports.OpenListing]:
        """Return the jobs that are listed as not ended."""
        query = f"PartitionKey eq '{job_entities.OPEN}'"
        with translated("list open jobs"):
            return [
                ports.OpenListing(job=str(one["RowKey"]), etag=str(one.metadata["etag"]))
                async for one in self._table.query_entities(query)
            ]

    async def unlist(self, listing: ports.OpenListing) -> None:
        """Take a job off the list of those not ended, unless it was listed anew since."""
        try:
            with translated(f"unlist job {listing.job}"):
                await self._table.delete_entity(
                    job_entities.OPEN,
                    listing.job,
                    etag=listing.etag,
                    match_condition=MatchConditions.IfNotModified,
                )
        except (errors.ConflictError, errors.NotFoundError):
            return  # listed anew, or off the list already

    async def remove_job(self, job: jobs.Job) -> None:
        """Remove a job's batches, events and listings; its own row stays."""
        with translated(f"remove the rows of job {job.id}"):
            rows = [
                {"PartitionKey": job.id, "RowKey": str(entity["RowKey"])}
                for prefix in (job_entities.BATCH_PREFIX, job_entities.EVENT_PREFIX)
                async for entity in self._table.query_entities(
                    _range(job.id, prefix), select=["RowKey"]
                )
            ]
            for start in range(0, len(rows), _TRANSACTION):
                group = rows[start : start + _TRANSACTION]
                await self._table.submit_transaction([("delete", row) for row in group])
            for listing in (
                job_entities.listed_by_time(job),
                job_entities.listed_open(job.id),
            ):
                await self._table.delete_entity(listing["PartitionKey"], listing["RowKey"])


def _batches(job_id: str, states: Collection[batches.BatchState]) -> str:
    keys = _range(job_id, job_entities.BATCH_PREFIX)
    wanted = " or ".join(f"state eq '{state}'" for state in sorted(states))
    return f"{keys} and ({wanted})" if wanted else keys


def _range(partition: str, prefix: str) -> str:
    # Digits sort before `:`, so that this is every key that begins with the prefix.
    return (
        f"PartitionKey eq '{_quoted(partition)}' and RowKey ge '{prefix}' and RowKey lt '{prefix}:'"
    )


def _quoted(text: str) -> str:
    """Return text as it stands between the quotes of an OData filter."""
    return text.replace("'", "''")


def _if_unchanged(etag: str) -> dict[str, Any]:
    """Return how the SDK is told to replace a row, if it is still the one of that ETag."""
    return {"mode": "replace", "etag": etag, "match_condition": MatchConditions.IfNotModified}


def _versioned(kind: type[Row], entity: Any) -> ports.Versioned[Row]:  # noqa: ANN401 the SDK's
    return ports.Versioned(job_entities.to_row(kind, entity), str(entity.metadata["etag"]))
