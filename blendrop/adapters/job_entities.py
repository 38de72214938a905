"""What do the rows of the jobs table look like?

Partition   row key                       what
----------  ----------------------------  -----------------------------------------------
<job id>    job                           the job
<job id>    batch-000007                  one of its batches
<job id>    event-<time>-<8 hex digits>   something that happened to it
by-time     <time left>-<job id>          the list of all jobs, newest first
open        <job id>                      the list of jobs that have not ended
request     <digest of its key>           which job a repeatable request made
frames      <key of the frames>           which job was the last to have such frames

A job id ends in a dash and 12 hex digits, so that it is none of the other partitions. Times are
text in ISO 8601, since a table keeps only 100 ns ticks and the SDK fewer; nested values are JSON.
"""

import datetime
import itertools
import json
import secrets
from collections.abc import Mapping
from typing import Any, TypeVar

import pydantic

from blendrop import ports
from blendrop.domain import batches, events, jobs

JOB = "job"
BATCH_PREFIX = "batch-"
BY_TIME = "by-time"
OPEN = "open"
EVENT_PREFIX = "event-"
REQUEST = "request"
FRAMES = "frames"
# A property holds at most 64 KiB in UTF-16, an entity 1 MiB (Microsoft Learn, "Understanding the
# Table service data model"); the emulator enforces neither. What is longer goes on in the next.
_LARGEST_PROPERTY = 30_000  # characters
_FAILURE_TEXTS = 100_000  # characters of reasons, and as many of log tails, in one batch

Row = TypeVar("Row", jobs.Job, batches.Batch, events.JobEvent)
Entity = dict[str, Any]
_FAR_FUTURE = datetime.datetime(3000, 1, 1, tzinfo=datetime.UTC)


def batch_key(number: int) -> str:
    """Return a batch's row key; keys sort as the numbers do."""
    return f"{BATCH_PREFIX}{number:06d}"


def of_job(job: jobs.Job) -> Entity:
    """Return a job's row."""
    return _entity(job.id, JOB, job)


def of_batch(batch: batches.Batch) -> Entity:
    """Return a batch's row."""
    if batch.failures:
        # The whole log is on the share.
        most = _FAILURE_TEXTS // len(batch.failures)
        cut = (
            one.model_copy(update={"reason": one.reason[:most], "log_tail": one.log_tail[-most:]})
            for one in batch.failures
        )
        batch = batch.model_copy(update={"failures": tuple(cut)})
    return _entity(batch.job, batch_key(batch.number), batch)


def listed_by_time(job: jobs.Job) -> Entity:
    """Return the row that lists a job by time: keys sort ascending, so the newest has the least."""
    left = int((_FAR_FUTURE - job.created) / datetime.timedelta(milliseconds=1))
    return {"PartitionKey": BY_TIME, "RowKey": f"{left:016d}-{job.id}", "job": job.id}


def listed_open(job_id: str) -> Entity:
    """Return the row that lists a job as not ended."""
    return {"PartitionKey": OPEN, "RowKey": job_id}


def of_event(job_id: str, event: events.JobEvent) -> Entity:
    """Return an event's row; keys sort as the events happened."""
    key = f"{EVENT_PREFIX}{event.at:%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}"
    return _entity(job_id, key, event)


def of_request(key: str, request: ports.KnownRequest) -> Entity:
    """Return the row that says which job a request made."""
    row = {"job": request.job, "digest": request.digest}
    return {"PartitionKey": REQUEST, "RowKey": key, **row}


def of_latest(frames_key: str, job_id: str) -> Entity:
    """Return the row that says which job was the last to have frames of a key."""
    return {"PartitionKey": FRAMES, "RowKey": frames_key, "job": job_id}


def _entity(partition: str, row_key: str, row: pydantic.BaseModel) -> Entity:
    entity: Entity = {"PartitionKey": partition, "RowKey": row_key}
    for name, value in row.model_dump(mode="json").items():
        if value is None:
            continue
        kept = value if isinstance(value, str | int | float) else json.dumps(value)
        if not isinstance(kept, str) or len(kept) <= _LARGEST_PROPERTY:
            entity[name] = kept
            continue
        for number, start in enumerate(range(0, len(kept), _LARGEST_PROPERTY)):
            part = kept[start : start + _LARGEST_PROPERTY]
            entity[_continued(name, number)] = part
    return entity


def to_row(kind: type[Row], entity: Mapping[str, Any]) -> Row:
    """Return the job, batch or event that a row holds."""
    given: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        if name not in entity:
            continue
        value = entity[name]
        for number in itertools.count(1):
            if _continued(name, number) not in entity:
                break
            value += entity[_continued(name, number)]
        nested = isinstance(value, str) and not _is_text(field.annotation)
        given[name] = json.loads(value) if nested else value
    return kind.model_validate(given)


def _continued(name: str, number: int) -> str:
    return f"{name}_{number}" if number else name


def _is_text(annotation: object) -> bool:
    if annotation == datetime.datetime | None:
        return True
    return isinstance(annotation, type) and issubclass(annotation, str | datetime.datetime)
