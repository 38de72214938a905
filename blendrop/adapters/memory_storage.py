"""The storage account's ports in memory, for tests and for chaos that is quick and replays.

Messages are kept as the text that a queue would carry and rows as the entities that a table would
hold, so that what is written is what would be read.
"""

import datetime
import itertools
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from blendrop import errors, ports
from blendrop.adapters import job_entities, worker_entities
from blendrop.domain import batches, events, jobs, messages, priorities, workers

Row = TypeVar("Row", jobs.Job, batches.Batch)


class MemorySceneStore:
    """Carries out `ports.SceneStore`."""

    def __init__(self) -> None:
        self._blobs: dict[str, tuple[str, bytes, Mapping[str, str]]] = {}
        self._versions = itertools.count(1)

    def put(self, name: str, data: bytes, metadata: Mapping[str, str]) -> str:
        """Upload a blob; return its ETag."""
        etag = f'"0x{next(self._versions):016X}"'
        self._blobs[name] = (etag, data, dict(metadata))
        return etag

    def remove(self, name: str) -> None:
        """Delete a blob."""
        del self._blobs[name]

    async def find(self, name: str) -> ports.StoredScene:
        """Return the newest version of a scene. Raises NotFoundError."""
        etag, data, metadata = self._blob(name)
        scene = jobs.SceneRef(name=name, etag=etag, size=len(data))
        return ports.StoredScene(scene=scene, metadata=metadata)

    async def read(self, scene: jobs.SceneRef, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`, fewer only where the file ends."""
        return self._version(scene)[offset : offset + length]

    async def upload_address(
        self, name: str, *, now: datetime.datetime, until: datetime.datetime
    ) -> str:
        """Return an address that says what it would allow."""
        return f"memory://scenes/{name}?from={now.isoformat()}&until={until.isoformat()}"

    async def download(self, scene: jobs.SceneRef, to: Path) -> None:
        """Write the whole scene to `to`."""
        to.write_bytes(self._version(scene))

    def _blob(self, name: str) -> tuple[str, bytes, Mapping[str, str]]:
        if name not in self._blobs:
            raise errors.NotFoundError(f"cannot look at scene {name!r}: there is no such thing")
        return self._blobs[name]

    def _version(self, scene: jobs.SceneRef) -> bytes:
        etag, data, _ = self._blob(scene.name)
        if etag != scene.etag:
            raise errors.ConflictError(f"cannot read scene {scene.name!r}: it was replaced")
        return data


@dataclass
class _Message:
    text: str
    inserted: datetime.datetime
    visible: datetime.datetime
    priority: priorities.Priority
    receipt: str = ""
    dequeued: int = 0


@dataclass(frozen=True)
class Parked:
    """A message on the poison queue."""

    body: str
    reason: str


@dataclass
class MemoryBatchQueue:
    """Carries out `ports.BatchQueue` and `ports.QueueDepths`; messages come back by the clock."""

    clock: ports.Clock
    parked: list[Parked] = field(default_factory=list)
    _messages: dict[str, _Message] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _turns: priorities.Turns = field(default_factory=priorities.Turns)

    def put_text(self, text: str, priority: priorities.Priority = "normal") -> None:
        """Put any text on the queue, as somebody else might."""
        now = self.clock.now()
        self._messages[f"message-{next(self._numbers)}"] = _Message(text, now, now, priority)

    async def send(
        self, batch_messages: Sequence[messages.BatchMessage], *, priority: priorities.Priority
    ) -> None:
        """Put every message on the queue."""
        for message in batch_messages:
            self.put_text(messages.encode(message), priority)

    async def receive(self, *, lease: datetime.timedelta) -> ports.Delivery | None:
        """Take one message, hidden from others for as long as `lease`; None if there is none."""
        now, elapsed = self.clock.now(), self.clock.elapsed()
        for priority in self._turns.order(elapsed):
            for message_id, message in self._messages.items():
                if message.visible <= now and message.priority == priority:
                    message.dequeued += 1
                    self._turns.took(priority)
                    return self._hidden(message_id, message, lease)
            self._turns.found_none(priority, elapsed)
        return None

    async def renew(self, delivery: ports.Delivery, *, lease: datetime.timedelta) -> ports.Delivery:
        """Keep the message hidden from now on; return the delivery with its new pop receipt."""
        return self._hidden(delivery.message_id, self._held(delivery), lease)

    async def give_back(self, delivery: ports.Delivery, *, delay: datetime.timedelta) -> None:
        """Let others see the message after `delay`."""
        self._hidden(delivery.message_id, self._held(delivery), delay)

    async def delete(self, delivery: ports.Delivery) -> None:
        """Remove the message for good."""
        self._held(delivery)
        del self._messages[delivery.message_id]

    async def park(self, delivery: ports.Delivery, *, reason: str) -> None:
        """Move the message, with the reason, to the poison queue."""
        self.parked.append(Parked(body=delivery.body, reason=reason))
        await self.delete(delivery)

    async def depth(self) -> int:
        """Return how many messages there are, hidden ones included."""
        return len(self._messages)

    async def oldest_waiting(self) -> datetime.datetime | None:
        """Return when the oldest message in sight was sent; None if none is in sight."""
        now = self.clock.now()
        in_sight = (one.inserted for one in self._messages.values() if one.visible <= now)
        return min(in_sight, default=None)

    async def count_messages(self) -> Sequence[ports.QueueDepth]:
        """Return how much waits, and how much was parked."""
        return [
            ports.QueueDepth("batches", ports.QueueKind.BATCHES, len(self._messages)),
            ports.QueueDepth("parked", ports.QueueKind.PARKED, len(self.parked)),
        ]

    def _hidden(
        self, message_id: str, message: _Message, time: datetime.timedelta
    ) -> ports.Delivery:
        message.visible = self.clock.now() + time
        message.receipt = f"receipt-{next(self._numbers)}"
        return ports.Delivery(
            message_id=message_id,
            pop_receipt=message.receipt,
            body=message.text,
            dequeue_count=message.dequeued,
            inserted=message.inserted,
            priority=message.priority,
        )

    def _held(self, delivery: ports.Delivery) -> _Message:
        message = self._messages.get(delivery.message_id)
        if message is None or message.receipt != delivery.pop_receipt:
            raise errors.LeaseLostError(
                f"message {delivery.message_id} was received by another worker or deleted"
            )
        return message


@dataclass
class MemoryDueJobs:
    """Carries out `ports.DueJobs`."""

    sent: list[tuple[str, datetime.timedelta]] = field(default_factory=list)

    async def send(self, job_id: str, *, delay: datetime.timedelta) -> None:
        """Let what is due of a job be done after `delay`."""
        self.sent.append((job_id, delay))


class MemoryJobTable:
    """Carries out `ports.JobTable`."""

    def __init__(self) -> None:
        self._entities: dict[tuple[str, str], tuple[str, job_entities.Entity]] = {}
        self._versions = itertools.count(1)

    async def add_job(
        self, job: jobs.Job, *, event: events.JobEvent | None = None
    ) -> ports.Versioned[jobs.Job]:
        """Add a job and list it; if it is there already, return the row that stands."""
        if not job.ended:
            await self.list_open(job.id)
        if (job.id, job_entities.JOB) not in self._entities:
            self._put(job_entities.of_job(job))
            self._happened(job.id, event)
        standing = await self.get_job(job.id)
        self._put(job_entities.listed_by_time(standing.row))
        return standing

    async def get_job(self, job_id: str) -> ports.Versioned[jobs.Job]:
        """Return a job. Raises NotFoundError."""
        return self._get(jobs.Job, job_id, job_entities.JOB)

    async def replace_job(
        self, job: jobs.Job, *, etag: str, event: events.JobEvent | None = None
    ) -> ports.Versioned[jobs.Job]:
        """Change a job's row and write the event, if nobody has since. Raises ConflictError."""
        replaced = self._replace(job_entities.of_job(job), etag)
        self._happened(job.id, event)
        return ports.Versioned(job, replaced)

    async def remember_request(self, key: str, request: ports.KnownRequest) -> ports.KnownRequest:
        """Note which job a request makes; return what was noted first under that key."""
        if (job_entities.REQUEST, key) not in self._entities:
            self._put(job_entities.of_request(key, request))
        noted = self._entities[job_entities.REQUEST, key][1]
        return ports.KnownRequest(job=noted["job"], digest=noted["digest"])

    async def latest_of(self, frames_key: str) -> str:
        """Return the job that was noted last to have frames of that key; empty if none was."""
        if (job_entities.FRAMES, frames_key) not in self._entities:
            return ""
        return str(self._entities[job_entities.FRAMES, frames_key][1]["job"])

    async def note_latest(self, frames_key: str, job_id: str) -> None:
        """Note that a job has frames of that key, or is about to."""
        self._put(job_entities.of_latest(frames_key, job_id))

    async def add_batches(self, job_batches: Sequence[batches.Batch]) -> None:
        """Add the batches of one job; those that are there already stay as they are."""
        for batch in job_batches:
            if (batch.job, job_entities.batch_key(batch.number)) not in self._entities:
                self._put(job_entities.of_batch(batch))

    async def get_batch(self, job_id: str, number: int) -> ports.Versioned[batches.Batch]:
        """Return a batch. Raises NotFoundError."""
        return self._get(batches.Batch, job_id, job_entities.batch_key(number))

    async def replace_batch(
        self, batch: batches.Batch, *, etag: str, event: events.JobEvent | None = None
    ) -> ports.Versioned[batches.Batch]:
        """Change a batch's row and write the event, if nobody has since. Raises ConflictError."""
        replaced = self._replace(job_entities.of_batch(batch), etag)
        self._happened(batch.job, event)
        return ports.Versioned(batch, replaced)

    async def split_batch(
        self, kept: batches.Batch, tails: Sequence[batches.Batch], *, etag: str
    ) -> ports.Versioned[batches.Batch]:
        """Change a batch's row and add what was cut off it: all of it, or nothing."""
        for tail in tails:
            if (tail.job, job_entities.batch_key(tail.number)) in self._entities:
                raise errors.ConflictError(f"cannot add batch {tail.number}: it is there already")
        replaced = self._replace(job_entities.of_batch(kept), etag)
        await self.add_batches(tails)
        return ports.Versioned(kept, replaced)

    async def batches_of(
        self, job_id: str, *, states: Collection[batches.BatchState] = ()
    ) -> AsyncIterator[ports.Versioned[batches.Batch]]:
        """Yield a job's batches by number; only those in one of `states`, if any are named."""
        for partition, key in sorted(self._entities):
            if partition == job_id and key.startswith(job_entities.BATCH_PREFIX):
                found = self._get(batches.Batch, partition, key)
                if not states or found.row.state in states:
                    yield found

    async def batches_from(
        self, job_id: str, number: int, *, count: int
    ) -> Sequence[ports.Versioned[batches.Batch]]:
        """Return those of a job's batches that have `number` or one of the `count - 1` after it."""
        keys = [(job_id, job_entities.batch_key(one)) for one in range(number, number + count)]
        return [self._get(batches.Batch, *key) for key in keys if key in self._entities]

    async def has_batches(self, job_id: str, *, states: Collection[batches.BatchState]) -> bool:
        """Tell whether a job has a batch in one of `states`, without reading them all."""
        async for _ in self.batches_of(job_id, states=states):
            return True
        return False

    async def events_of(self, job_id: str) -> AsyncIterator[events.JobEvent]:
        """Yield what happened to a job, oldest first."""
        for partition, key in sorted(self._entities):
            if partition == job_id and key.startswith(job_entities.EVENT_PREFIX):
                yield job_entities.to_row(events.JobEvent, self._entities[partition, key][1])

    async def list_jobs(self, *, page_size: int, token: str = "") -> tuple[Sequence[jobs.Job], str]:
        """Return a page of jobs, newest first, and the token of the next page or an empty one."""
        keys = sorted(key for partition, key in self._entities if partition == job_entities.BY_TIME)
        left = [key for key in keys if key > token]
        page = left[:page_size]
        listed = [self._entities[job_entities.BY_TIME, key][1]["job"] for key in page]
        shown = [
            self._get(jobs.Job, job_id, job_entities.JOB).row
            for job_id in listed
            if (job_id, job_entities.JOB) in self._entities
        ]
        return shown, page[-1] if len(left) > page_size else ""

    async def list_open(self, job_id: str) -> None:
        """List a job as one that has not ended."""
        self._put(job_entities.listed_open(job_id))

    async def open_jobs(self) -> Sequence[ports.OpenListing]:
        """Return the jobs that are listed as not ended."""
        return [
            ports.OpenListing(job=key, etag=self._entities[partition, key][0])
            for partition, key in sorted(self._entities)
            if partition == job_entities.OPEN
        ]

    async def unlist(self, listing: ports.OpenListing) -> None:
        """Take a job off the list of those not ended, unless it was listed anew since."""
        key = (job_entities.OPEN, listing.job)
        if key in self._entities and self._entities[key][0] == listing.etag:
            del self._entities[key]

    async def remove_job(self, job: jobs.Job) -> None:
        """Remove a job's batches, events and listings; its own row stays."""
        listings = (job_entities.listed_by_time(job), job_entities.listed_open(job.id))
        gone = {(one["PartitionKey"], one["RowKey"]) for one in listings}
        gone |= {key for key in self._entities if key[0] == job.id and key[1] != job_entities.JOB}
        for key in gone:
            self._entities.pop(key, None)

    def _happened(self, job_id: str, event: events.JobEvent | None) -> None:
        if event is not None:
            self._put(job_entities.of_event(job_id, event))

    def _put(self, entity: job_entities.Entity) -> str:
        etag = f"etag-{next(self._versions)}"
        self._entities[entity["PartitionKey"], entity["RowKey"]] = (etag, entity)
        return etag

    def _replace(self, entity: job_entities.Entity, etag: str) -> str:
        key = (entity["PartitionKey"], entity["RowKey"])
        if key not in self._entities:
            raise errors.NotFoundError(f"cannot change row {key}: there is no such thing")
        if self._entities[key][0] != etag:
            raise errors.ConflictError(f"cannot change row {key}: it was changed since")
        return self._put(entity)

    def _get(self, kind: type[Row], partition: str, key: str) -> ports.Versioned[Row]:
        if (partition, key) not in self._entities:
            raise errors.NotFoundError(f"cannot read row {partition}/{key}: there is no such thing")
        etag, entity = self._entities[partition, key]
        return ports.Versioned(job_entities.to_row(kind, entity), etag)


class MemoryWorkerTable:
    """Carries out `ports.WorkerTable`."""

    def __init__(self) -> None:
        self._entities: dict[str, worker_entities.Entity] = {}

    async def put(self, worker: workers.Worker) -> None:
        """Write what a worker says of itself, in place of what it said before."""
        entity = worker_entities.of_worker(worker)
        self._entities[entity["RowKey"]] = entity

    async def all_workers(self) -> Sequence[workers.Worker]:
        """Return every row."""
        return [worker_entities.to_worker(one) for one in self._entities.values()]

    async def remove(self, worker: workers.Worker) -> None:
        """Remove a worker's row; one that is gone already is well."""
        self._entities.pop(worker.id, None)
