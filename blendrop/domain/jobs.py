"""What is a job, and which states may it move through?

State      what it means                                            ends the job
---------  -------------------------------------------------------  ------------
submitted  its row exists; rows of batches or messages may not yet
queued     every batch has its row and its message
rendering  a worker has claimed a batch
paused     a person asked to wait, or it is to cost more than it may;
           no message is left
completed  every frame has its verified image                       yes
failed     frames are missing for good; the reason names them       yes
cancelled  a person asked to stop                                   yes
"""

import datetime
import hashlib
import re
import unicodedata
from enum import StrEnum

from blendrop import errors
from blendrop.domain import batch_sizes, events, frames, job_settings, record


class JobState(StrEnum):
    """Where a job stands."""

    SUBMITTED = "submitted"
    QUEUED = "queued"
    RENDERING = "rendering"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


# What an id looks like: safe as the name of a folder and as the key of a table.
ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*-[0-9a-f]{12}")

ENDED = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})

# The one transition table: what is not here cannot happen. A failed or cancelled job goes back to
# queued when a person asks for a retry.
TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.SUBMITTED: frozenset({JobState.QUEUED, JobState.FAILED, JobState.CANCELLED}),
    JobState.QUEUED: frozenset(
        {
            JobState.RENDERING,
            JobState.PAUSED,
            JobState.COMPLETED,
            JobState.FAILED,
            JobState.CANCELLED,
        }
    ),
    JobState.RENDERING: frozenset(
        {JobState.PAUSED, JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.PAUSED: frozenset(
        {
            JobState.QUEUED,
            JobState.RENDERING,
            JobState.COMPLETED,
            JobState.FAILED,
            JobState.CANCELLED,
        }
    ),
    JobState.COMPLETED: frozenset(),
    JobState.FAILED: frozenset({JobState.QUEUED}),
    JobState.CANCELLED: frozenset({JobState.QUEUED}),
}


class AnnouncementState(StrEnum):
    """Whether the one whom the job names was told that it has ended."""

    NONE = ""  # nobody is to be told, or the job has not ended
    DUE = "due"
    SENT = "sent"
    FAILED = "failed"  # on every attempt


class Announcement(record.Record):
    """How far telling the one whom the job names has come."""

    state: AnnouncementState = AnnouncementState.NONE
    attempts: int = 0
    due: datetime.datetime | None = None  # the next attempt
    reason: str = ""  # why the last attempt failed

    def sent(self, *, attempts: int) -> "Announcement":
        """Return that it was told."""
        return Announcement(state=AnnouncementState.SENT, attempts=attempts)

    def put_off(self, reason: str, *, attempts: int, due: datetime.datetime) -> "Announcement":
        """Return that it is to be tried again."""
        return Announcement(state=AnnouncementState.DUE, attempts=attempts, due=due, reason=reason)

    def failed(self, reason: str, *, attempts: int) -> "Announcement":
        """Return that nobody tries any more."""
        return Announcement(state=AnnouncementState.FAILED, attempts=attempts, reason=reason)


class SceneRef(record.Record):
    """One version of an uploaded .blend: its bytes are those that had this ETag."""

    name: str  # blob name in the container of scenes
    etag: str
    size: int  # bytes


class Job(record.Record):
    """One request to render frames of a scene with given settings."""

    id: str
    state: JobState
    reason: str  # why it is in this state, for a person
    scene: SceneRef
    settings: job_settings.JobSettings
    blender_version: str = ""  # that wrote the scene, like 5.0; empty while it could not be read
    frames: str = ""  # canonical; empty where the request could not be understood
    frame_count: int = 0
    batch_size: int = 1  # frames, at the most
    cut_for: int = 0  # workers, for whom batches shrink towards the end; 0: all are of one size
    batch_count: int = 0
    frame_pattern: str = ""  # name of a frame's file, like shot_####.png; set by the first worker
    taken_from: str = ""  # the job whose frames are taken over, so far as it has them
    created: datetime.datetime
    started: datetime.datetime | None = None  # when the first worker had opened the scene
    changed: datetime.datetime
    owner: str = ""  # who submitted it; empty for an upload, which names nobody
    announcement: Announcement = Announcement()
    held_at: float | None = None  # what it was to cost when it was held for its max_cost
    deleted: bool = False  # its rows and frames are gone; only this is left, for late messages
    traceparent: str = ""  # W3C trace context of the request that made the job

    def moved(self, to: JobState, *, reason: str, now: datetime.datetime) -> "Job":
        """Return the job in another state.

        Raises:
            ConflictError: the transition table does not allow it, since someone moved it first.
        """
        if to not in TRANSITIONS[self.state]:
            raise errors.ConflictError(
                f"job {self.id} is {self.state} and cannot become {to}: {self.reason}"
            )
        told = Announcement()
        if to in ENDED and self.settings.webhook:
            told = Announcement(state=AnnouncementState.DUE, due=now)
        return self.model_copy(
            update={
                "state": to,
                "reason": reason,
                "changed": now,
                "announcement": told,
                "held_at": None,
            }
        )

    def event(self, *, by: str) -> events.JobEvent:
        """Return what to write down about the change that led to this state."""
        kind = events.EventKind(self.state.value)
        return events.JobEvent(at=self.changed, kind=kind, reason=self.reason, by=by)

    @property
    def ended(self) -> bool:
        """Whether nothing more will be rendered unless a person asks."""
        return self.state in ENDED

    def frame_numbers(self) -> tuple[int, ...]:
        """Return its frames, ascending."""
        return frames.parse(self.frames, at_most=self.frame_count) if self.frames else ()

    def batches(self) -> list[tuple[int, ...]]:
        """Return the frames of each batch as planned; a batch's number is its place, from 0."""
        return batch_sizes.planned(self.frame_numbers(), most=self.batch_size, workers=self.cut_for)

    def number_of_tail(self, first: int) -> int:
        """Return the number of the batch that begins with this frame, cut off another one.

        A frame begins such a batch once at the most: it stays there, as the first, for ever.
        """
        return self.batch_count + self.frame_numbers().index(first)


def id_of_upload(name: str, etag: str) -> str:
    """Return the job id of one upload: the same for every trigger that the upload raises."""
    return _id(name, f"{name}\n{etag}")


def id_of_request(name: str, *, caller: str, key: str) -> str:
    """Return the job id of one HTTP request: the same whenever the caller repeats its key."""
    return _id(name, f"request\n{caller}\n{key}")


def _id(name: str, identity: str) -> str:
    """Return an id that says which scene, and is the same for the same identity.

    It starts with the name of the file, for the person who looks for its folder, and holds only
    `a-z`, `0-9` and `-`, so that it is safe as a folder name and a table key.
    """
    ascii_name = unicodedata.normalize("NFKD", name.rsplit("/", 1)[-1]).encode("ascii", "ignore")
    stem = re.sub(r"\.blend$", "", ascii_name.decode().lower())
    slug = re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:40].rstrip("-")
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return f"{slug or 'scene'}-{digest}"
