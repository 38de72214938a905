"""Jobs and batches in an Azure table."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any, TypeVar

from azure.core import MatchConditions

from blendrop import errors, ports
from blendrop.adapters import job_entities
from blendrop.adapters.azure_clients import Clients, translated
from blendrop.domain import batches, jobs

# The most that one transaction takes (Microsoft Learn, "Performing entity group transactions"); the
# emulator answers a larger one with something that is no answer.
_TRANSACTION = 100
_TRANSACTIONS_AT_ONCE = 8
_READ_AT_ONCE = 16

Row = TypeVar("Row", jobs.Job, batches.Batch)


class AzureJobTable:
    """Carries out `ports.JobTable` with Azure Table Storage."""

    def __init__(self, clients: Clients, *, table: str) -> None:
        self._clients = clients
        self._name = table

    @property
    def _table(self) -> Any:  # noqa: ANN401 the SDK's client, loaded only where it is used
        return self._clients.tables.get_table_client(self._name)

    async def add_job(self, job: jobs.Job) -> ports.Versioned[jobs.Job]:
        """Add a job and list it; if it is there already, return the row that stands."""
        try:
            with translated(f"add job {job.id}"):
                added = await self._table.create_entity(job_entities.of_job(job))
            standing = ports.Versioned(job, str(added["etag"]))
        except errors.ConflictError:
            standing = await self.get_job(job.id)
        with translated(f"list job {job.id}"):
            await self._table.upsert_entity(job_entities.listed_by_time(standing.row))
            if not standing.row.ended:
                await self._table.upsert_entity(job_entities.listed_open(standing.row))
        return standing

    async def get_job(self, job_id: str) -> ports.Versioned[jobs.Job]:
        """Return a job. Raises NotFoundError."""
        with translated(f"read job {job_id}"):
            entity = await self._table.get_entity(job_id, job_entities.JOB)
        return _versioned(jobs.Job, entity)

    async def replace_job(self, job: jobs.Job, *, etag: str) -> ports.Versioned[jobs.Job]:
        """Change a job's row, if nobody has since. Raises ConflictError."""
        replaced = await self._replace(f"change job {job.id}", job_entities.of_job(job), etag)
        with translated(f"list job {job.id}"):
            if job.ended:
                await self._table.delete_entity(job_entities.listed_open(job))
            elif job.state is jobs.JobState.QUEUED:
                await self._table.upsert_entity(job_entities.listed_open(job))
        return ports.Versioned(job, replaced)

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
        self, batch: batches.Batch, *, etag: str
    ) -> ports.Versioned[batches.Batch]:
        """Change a batch's row, if nobody has since. Raises ConflictError."""
        doing = f"change batch {batch.number} of job {batch.job}"
        return ports.Versioned(
            batch, await self._replace(doing, job_entities.of_batch(batch), etag)
        )

    async def _replace(self, doing: str, entity: job_entities.Entity, etag: str) -> str:
        with translated(doing):
            updated = await self._table.update_entity(
                entity, mode="replace", etag=etag, match_condition=MatchConditions.IfNotModified
            )
        return str(updated["etag"])

    async def batches_of(
        self, job_id: str, *, states: Collection[batches.BatchState] = ()
    ) -> AsyncIterator[ports.Versioned[batches.Batch]]:
        """Yield a job's batches by number; only those in one of `states`, if any are named."""
        # Digits sort before `:`, so that this is every key that begins with the prefix.
        keys = (
            f"PartitionKey eq '{job_id}' and RowKey ge '{job_entities.BATCH_PREFIX}' "
            f"and RowKey lt '{job_entities.BATCH_PREFIX}:'"
        )
        wanted = " or ".join(f"state eq '{state}'" for state in sorted(states))
        query = f"{keys} and ({wanted})" if wanted else keys
        with translated(f"read the batches of job {job_id}"):
            async for entity in self._table.query_entities(query):
                yield _versioned(batches.Batch, entity)

    async def list_jobs(self, *, page_size: int, token: str = "") -> tuple[Sequence[jobs.Job], str]:
        """Return a page of jobs, newest first, and the token of the next page or an empty one."""
        after = f" and RowKey gt '{token}'" if token else ""
        query = f"PartitionKey eq '{job_entities.BY_TIME}'{after}"
        listed: list[job_entities.Entity] = []
        with translated("list jobs"):
            async for entity in self._table.query_entities(query, results_per_page=page_size + 1):
                listed.append(dict(entity))
                if len(listed) > page_size:
                    break
        page, more = listed[:page_size], len(listed) > page_size
        reading = asyncio.Semaphore(_READ_AT_ONCE)

        async def read(job_id: str) -> jobs.Job:
            async with reading:
                return (await self.get_job(job_id)).row

        shown = await asyncio.gather(*(read(entity["job"]) for entity in page))
        return shown, page[-1]["RowKey"] if more else ""

    async def open_jobs(self) -> Sequence[str]:
        """Return the ids of the jobs that have not ended."""
        query = f"PartitionKey eq '{job_entities.OPEN}'"
        with translated("list open jobs"):
            return [str(one["RowKey"]) async for one in self._table.query_entities(query)]


def _versioned(kind: type[Row], entity: Any) -> ports.Versioned[Row]:  # noqa: ANN401 the SDK's
    return ports.Versioned(job_entities.to_row(kind, entity), str(entity.metadata["etag"]))
