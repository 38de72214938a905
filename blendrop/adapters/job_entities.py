"""What do the rows of the jobs table look like?

Partition   row key                       what
----------  ----------------------------  -----------------------------------------------
<job id>    job                           the job
<job id>    batch-000007                  one of its batches
by-time     <time left>-<job id>          the list of all jobs, newest first
open        <job id>                      the list of jobs that have not ended

A job id ends in a dash and 12 hex digits, so that it is never `by-time` or `open`. Times are text
in ISO 8601, since a table keeps only 100 ns ticks and the SDK fewer; nested values are JSON.
"""

import datetime
import json
from collections.abc import Mapping
from typing import Any, TypeVar

import pydantic

from blendrop import errors
from blendrop.domain import batches, jobs

JOB = "job"
BATCH_PREFIX = "batch-"
BY_TIME = "by-time"
OPEN = "open"
# A property holds at most 64 KiB, in UTF-16 (Microsoft Learn, "Understanding the Table service data
# model"). The emulator does not enforce it.
_LARGEST_PROPERTY = 64 * 1024

Row = TypeVar("Row", jobs.Job, batches.Batch)
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
    return _entity(batch.job, batch_key(batch.number), batch)


def listed_by_time(job: jobs.Job) -> Entity:
    """Return the row that lists a job by time: keys sort ascending, so the newest has the least."""
    left = int((_FAR_FUTURE - job.created) / datetime.timedelta(milliseconds=1))
    return {"PartitionKey": BY_TIME, "RowKey": f"{left:016d}-{job.id}", "job": job.id}


def listed_open(job: jobs.Job) -> Entity:
    """Return the row that lists a job as not ended."""
    return {"PartitionKey": OPEN, "RowKey": job.id}


def _entity(partition: str, row_key: str, row: pydantic.BaseModel) -> Entity:
    entity: Entity = {"PartitionKey": partition, "RowKey": row_key}
    for name, value in row.model_dump(mode="json").items():
        if value is None:
            continue
        entity[name] = value if isinstance(value, str | int | float) else json.dumps(value)
        if isinstance(entity[name], str) and 2 * len(entity[name]) > _LARGEST_PROPERTY:
            raise errors.InvalidRequestError(
                errors.Problem(
                    pointer=name,
                    value=f"{entity[name][:40]}…",
                    reason=f"it takes more than the {_LARGEST_PROPERTY} bytes of a table property",
                    remedy="Give a frame range that takes fewer words, or smaller batches",
                )
            )
    return entity


def to_row(kind: type[Row], entity: Mapping[str, Any]) -> Row:
    """Return the job or batch that a row holds."""
    given: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        if name not in entity:
            continue
        value = entity[name]
        nested = isinstance(value, str) and not _is_text(field.annotation)
        given[name] = json.loads(value) if nested else value
    return kind.model_validate(given)


def _is_text(annotation: object) -> bool:
    if annotation == datetime.datetime | None:
        return True
    return isinstance(annotation, type) and issubclass(annotation, str | datetime.datetime)
