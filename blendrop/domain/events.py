"""What happened to a job, in order and with the reason, for the person who asks why?

An event is written together with the change that it tells of, in one transaction, so that none is
missing and none is made up. Frames that are done have none: their files tell.
"""

import datetime
from enum import StrEnum

from blendrop.domain import record


class EventKind(StrEnum):
    """What kind of thing happened. A change of a job's state is named after the new state."""

    SUBMITTED = "submitted"
    QUEUED = "queued"
    RENDERING = "rendering"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PRIORITY_CHANGED = "priority_changed"
    BATCH_RETRIED = "batch_retried"  # frames failed, and are tried again
    BATCH_FAILED = "batch_failed"  # frames failed for good
    BATCH_GIVEN_BACK = "batch_given_back"  # its worker was asked to stop
    WORKER_LOST = "worker_lost"  # another one took the batch over
    MESSAGES_SENT_AGAIN = "messages_sent_again"
    ANNOUNCED = "announced"
    ANNOUNCEMENT_PUT_OFF = "announcement_put_off"  # it failed, and is tried again
    ANNOUNCEMENT_FAILED = "announcement_failed"


class JobEvent(record.Record):
    """One thing that happened to a job."""

    at: datetime.datetime
    kind: EventKind
    reason: str
    by: str  # a worker's name, a person's, or what part of the farm did it
