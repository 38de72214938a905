"""What do the use cases ask of the world?

Every wait of a method is bounded by its adapter. Whatever an adapter's SDK raises, it raises one of
`blendrop.errors` instead: `UnavailableError` for what may pass, `ConflictError` for an ETag that no
longer holds, `NotFoundError` for what is not there.
"""

import contextlib
import datetime
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar

from blendrop import errors
from blendrop.domain import (
    batches,
    events,
    images,
    job_settings,
    jobs,
    messages,
    priorities,
    trace_context,
    workers,
)

Row = TypeVar("Row", jobs.Job, batches.Batch)


@dataclass(frozen=True)
class Versioned(Generic[Row]):
    """A row as it was read, with the ETag that a change of it must carry."""

    row: Row
    etag: str


@dataclass(frozen=True)
class StoredScene:
    """An uploaded blob, as the store describes it."""

    scene: jobs.SceneRef
    metadata: Mapping[str, str]


class SceneStore(Protocol):
    """The container that scenes are uploaded to."""

    async def find(self, name: str) -> StoredScene:
        """Return the newest version of a scene.

        Raises:
            NotFoundError: there is no such blob.
        """
        ...

    async def read(self, scene: jobs.SceneRef, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`, fewer only where the file ends.

        Raises:
            ConflictError: the blob is no longer the version that `scene` names.
            NotFoundError: it is gone.
        """
        ...

    async def upload_address(
        self, name: str, *, now: datetime.datetime, until: datetime.datetime
    ) -> str:
        """Return an address, signed until then, that a scene can be put to and nothing else."""
        ...

    async def download(self, scene: jobs.SceneRef, to: Path) -> None:
        """Write the whole scene to `to`. Raises as `read` does, and leaves no half file behind."""
        ...


class SceneFiles(Protocol):
    """The scenes that lie on this worker's own disk."""

    async def path_of(self, scene: jobs.SceneRef) -> Path:
        """Return the file with exactly that version's bytes, downloading it if it is not there.

        Raises:
            ConflictError: the blob was replaced by another version.
            NotFoundError: it is gone.
            UnavailableError: the store is away, or the disk is full.
        """
        ...

    async def digest_of(self, scene: jobs.SceneRef) -> str:
        """Return the SHA-256 of that version's bytes. Raises as `path_of` does."""
        ...


@dataclass(frozen=True)
class Delivery:
    """One receipt of one message: what is needed to keep it hidden, give it back or delete it."""

    message_id: str
    pop_receipt: str
    body: str
    dequeue_count: int  # 1 on the first receipt
    inserted: datetime.datetime
    priority: priorities.Priority  # of the queue that it came from


class BatchQueue(Protocol):
    """The queues of batches, one for each priority, and their neighbour for what cannot be read."""

    async def send(
        self, batch_messages: Sequence[messages.BatchMessage], *, priority: priorities.Priority
    ) -> None:
        """Put every message on the queue, in no particular order. Some may be sent if it fails."""
        ...

    async def receive(self, *, lease: datetime.timedelta) -> Delivery | None:
        """Take one message, hidden from others for as long as `lease`; None if there is none.

        High priority comes first, without starving the normal one.
        """
        ...

    async def renew(self, delivery: Delivery, *, lease: datetime.timedelta) -> Delivery:
        """Keep the message hidden from now on; return the delivery with its new pop receipt.

        Raises:
            LeaseLostError: someone else received the message since, or it is gone.
        """
        ...

    async def give_back(self, delivery: Delivery, *, delay: datetime.timedelta) -> None:
        """Let others see the message after `delay`. Raises as `renew` does."""
        ...

    async def delete(self, delivery: Delivery) -> None:
        """Remove the message for good. Raises as `renew` does."""
        ...

    async def park(self, delivery: Delivery, *, reason: str) -> None:
        """Move the message, with the reason, to the poison queue, where people look."""
        ...

    async def depth(self) -> int:
        """Return about how many messages there are, of every priority, hidden ones included."""
        ...

    async def oldest_waiting(self) -> datetime.datetime | None:
        """Return when the oldest message in sight was sent; None if none is in sight.

        Only the front of each queue is looked at, and no message is received by it.
        """
        ...


class QueueKind(StrEnum):
    """What lies on a queue."""

    BATCHES = "batches"  # frames to render
    NEWS = "news"  # of uploads, and of jobs of which something is due
    PARKED = "parked"  # what nobody could carry out, and waits for a person


@dataclass(frozen=True)
class QueueDepth:
    """About how many messages there are on a queue, hidden ones included."""

    queue: str
    kind: QueueKind
    messages: int


class QueueDepths(Protocol):
    """All queues of the farm, from outside."""

    async def count_messages(self) -> Sequence[QueueDepth]:
        """Return how much lies on each; a queue that is not there yet is empty."""
        ...


@dataclass(frozen=True)
class OpenListing:
    """A row that lists a job as not ended, as it was read."""

    job: str
    etag: str


@dataclass(frozen=True)
class KnownRequest:
    """Which job a repeatable request made, and of which body."""

    job: str
    digest: str  # of the request's body


class JobTable(Protocol):
    """The rows of jobs and batches, and the lists of jobs by time and of those not ended."""

    async def add_job(
        self, job: jobs.Job, *, event: events.JobEvent | None = None
    ) -> Versioned[jobs.Job]:
        """Add a job and list it; if it is there already, return the row that stands.

        It is listed as open before it is there, so that the sweeper misses none; running it again
        mends a list that an earlier, interrupted call left without the job.
        """
        ...

    async def get_job(self, job_id: str) -> Versioned[jobs.Job]:
        """Return a job. Raises NotFoundError."""
        ...

    async def replace_job(
        self, job: jobs.Job, *, etag: str, event: events.JobEvent | None = None
    ) -> Versioned[jobs.Job]:
        """Change a job's row and write the event, if nobody has since. Raises ConflictError."""
        ...

    async def remember_request(self, key: str, request: KnownRequest) -> KnownRequest:
        """Note which job a request makes; return what was noted first under that key."""
        ...

    async def latest_of(self, frames_key: str) -> str:
        """Return the job that was noted last to have frames of that key; empty if none was."""
        ...

    async def note_latest(self, frames_key: str, job_id: str) -> None:
        """Note that a job has frames of that key, or is about to."""
        ...

    async def add_batches(self, job_batches: Sequence[batches.Batch]) -> None:
        """Add the batches of one job; those that are there already stay as they are."""
        ...

    async def get_batch(self, job_id: str, number: int) -> Versioned[batches.Batch]:
        """Return a batch. Raises NotFoundError."""
        ...

    async def replace_batch(
        self, batch: batches.Batch, *, etag: str, event: events.JobEvent | None = None
    ) -> Versioned[batches.Batch]:
        """Change a batch's row and write the event, if nobody has since. Raises ConflictError."""
        ...

    async def split_batch(
        self, kept: batches.Batch, tails: Sequence[batches.Batch], *, etag: str
    ) -> Versioned[batches.Batch]:
        """Change a batch's row and add what was cut off it, at most 99: all of it, or nothing.

        Raises:
            ConflictError: someone has changed the row since, or a tail is there already.
        """
        ...

    def batches_of(
        self, job_id: str, *, states: Collection[batches.BatchState] = ()
    ) -> AsyncIterator[Versioned[batches.Batch]]:
        """Yield a job's batches by number; only those in one of `states`, if any are named."""
        ...

    async def batches_from(
        self, job_id: str, number: int, *, count: int
    ) -> Sequence[Versioned[batches.Batch]]:
        """Return those of a job's batches that have `number` or one of the `count - 1` after it."""
        ...

    async def has_batches(self, job_id: str, *, states: Collection[batches.BatchState]) -> bool:
        """Tell whether a job has a batch in one of `states`, without reading them all."""
        ...

    def events_of(self, job_id: str) -> AsyncIterator[events.JobEvent]:
        """Yield what happened to a job, oldest first."""
        ...

    async def list_jobs(self, *, page_size: int, token: str = "") -> tuple[Sequence[jobs.Job], str]:
        """Return a page of jobs, newest first, and the token of the next page or an empty one."""
        ...

    async def list_open(self, job_id: str) -> None:
        """List a job as one that has not ended."""
        ...

    async def open_jobs(self) -> Sequence[OpenListing]:
        """Return the jobs that are listed as not ended."""
        ...

    async def unlist(self, listing: OpenListing) -> None:
        """Take a job off the list of those not ended, unless it was listed anew since."""
        ...

    async def remove_job(self, job: jobs.Job) -> None:
        """Remove a job's batches, events and listings; its own row stays."""
        ...


class DueJobs(Protocol):
    """The queue of jobs of which something is due: to be planned, or to be announced."""

    async def send(self, job_id: str, *, delay: datetime.timedelta) -> None:
        """Let what is due of a job be done after `delay`."""
        ...


class Webhooks(Protocol):
    """The addresses that jobs name."""

    async def post(self, address: str, *, body: bytes, headers: Mapping[str, str]) -> None:
        """Tell an address something.

        Raises:
            InvalidRequestError: it may not be told; it makes no sense to try again.
            UnavailableError: it did not take it.
        """
        ...


class RateCounters(Protocol):
    """How often each client has asked in each window of time, over all instances together."""

    async def add(self, counter: str, amount: int, *, ends: datetime.datetime) -> int:
        """Count on; return the count up to and including this.

        No two calls, of whichever processes, are given the same number, and together they are given
        every number from 1 on; after an answer that got lost on the way some may be left out. A
        counter counts from nothing again when its window ends at another time.

        Raises:
            UnavailableError: the storage is away.
        """
        ...

    async def forget(self, *, before: datetime.datetime) -> int:
        """Remove the counters of windows that ended before then; return how many those were."""
        ...


class WorkerTable(Protocol):
    """The rows in which workers say that they live, and what they are at."""

    async def put(self, worker: workers.Worker) -> None:
        """Write what a worker says of itself, in place of what it said before."""
        ...

    async def all_workers(self) -> Sequence[workers.Worker]:
        """Return every row, in no particular order."""
        ...

    async def remove(self, worker: workers.Worker) -> None:
        """Remove a worker's row; one that is gone already is well."""
        ...


class FrameShare(Protocol):
    """The folder that holds the frames; a frame is done when its file has its final name."""

    async def frames_done(self, job_id: str, names: Collection[str]) -> set[str]:
        """Return those of `names` that stand in the job's folder."""
        ...

    async def publish(self, job_id: str, file: Path, name: str) -> bool:
        """Copy a verified file to its final name; False if another worker's already stands there.

        Either way one whole file stands there.

        Raises:
            UnavailableError: the share is full, read-only or away; nothing stands there.
            FrameError: the worker's own disk does not have the file.
        """
        ...

    async def keep(self, job_id: str, file: Path, name: str) -> None:
        """Copy a file that goes with a frame (an extra output) to `name` below the job's folder.

        Raises as `publish` does.
        """
        ...

    async def keep_log(self, job_id: str, name: str, text: str) -> None:
        """Write a frame's log to `name` below the job's folder, in place of an older one."""
        ...

    async def clear_unfinished(self, job_id: str) -> None:
        """Remove what workers that vanished left half copied, of a job that has ended."""
        ...

    async def file(self, job_id: str, name: str) -> Path:
        """Return the path of a file below the job's folder, for reading.

        Raises:
            NotFoundError: there is no such file.
        """
        ...

    async def has_extra_files(self, job_id: str) -> bool:
        """Tell whether files were kept below `extra/` in the job's folder."""
        ...

    async def remove_job(self, job_id: str) -> None:
        """Remove the job's folder with everything in it."""
        ...


@dataclass(frozen=True)
class SceneReport:
    """What Blender says of a scene that it has opened, with the job's settings laid over it."""

    blender_version: str  # full, like 5.0.1
    image: images.ExpectedImage
    frame_pattern: str  # like shot_####.png
    missing_files: tuple[str, ...] = ()  # each "kind name: path"
    skipped_python: tuple[str, ...] = ()  # what of its Python would have changed its frames
    notes: tuple[str, ...] = ()  # what the artist should know, like a movie format replaced


@dataclass(frozen=True)
class ExtraFile:
    """A file that the compositor's File Output nodes wrote beside the frame's own image."""

    name: str  # relative, like Depth/depth_0001.exr
    path: Path  # where it lies now


@dataclass(frozen=True)
class RenderedFrame:
    """What Blender says of a frame that it has rendered."""

    # Of its image, on the worker's own disk until the next frame but one is rendered.
    path: Path
    seconds: float  # wall time in Blender
    # How it looks: Blender's own rendition where the image is scene-linear, else the image; None
    # where Blender could not give one.
    display: Path | None
    extra_files: tuple[ExtraFile, ...] = ()


class Renderer(Protocol):
    """Blender, kept open from batch to batch of the same scene."""

    async def open_scene(
        self, path: Path, settings: job_settings.JobSettings, *, version: str
    ) -> SceneReport:
        """Open a scene, or do nothing if it is open with the same settings.

        Raises:
            SceneError: no worker could render it as asked.
            FrameError: this Blender failed at it (crash, out of memory, timeout).
        """
        ...

    async def render(self, frame: int, name: str) -> RenderedFrame:
        """Render a frame of the open scene to a file of that name. Raises FrameError.

        After a failure that ended Blender, the next `open_scene` starts it anew. Being cancelled
        ends Blender.
        """
        ...

    def last_log(self) -> str:
        """Return what Blender printed while it worked on the last frame or scene."""
        ...

    async def close(self) -> None:
        """End Blender, if it runs."""
        ...


class ImageVerifier(Protocol):
    """What looks at every image before it counts."""

    async def verify(
        self, path: Path, expected: images.ExpectedImage
    ) -> frozenset[images.FrameFlag]:
        """Decode the whole image; return what makes it suspicious though right.

        Raises:
            FrameError: there is no image, it does not decode whole, or it is not as expected.
        """
        ...


class PreviewMaker(Protocol):
    """What draws a small picture of a frame, for people to look at."""

    async def preview(self, display: Path) -> Path:
        """Return a small JPEG of a display-referred image, beside it on the worker's own disk.

        Raises:
            FrameError: the image cannot be read, or the JPEG not written.
        """
        ...


class Progress:
    """Who is told what a worker does, as it does it. This one does not listen.

    Calls are made in the midst of rendering: they must return at once, and never raise.
    """

    def message_received(self, *, waited: float, deliveries: int) -> None:
        """A message is here for that often, so many seconds after it was sent."""

    def scene_found(self, *, cached: bool) -> None:
        """A scene lies on the worker's disk; it did before, or was downloaded for this."""

    def batch_claimed(self, batch: batches.Batch, *, frames_left: int) -> None:
        """A batch is this worker's now; so many of its frames are to be rendered."""

    def scene_opened(self, *, seconds: float) -> None:
        """Blender has loaded the scene, which it had not open."""

    def frame_begun(self, frame: int) -> None:
        """A frame is in hand."""

    def frame_done(self, frame: int, *, seconds: float) -> None:
        """A frame has its final name."""

    def frame_failed(
        self, frame: int, failure_class: errors.FailureClass, *, seconds: float
    ) -> None:
        """A frame has no good image from this attempt, which took so long in vain."""

    def waiting(self, reason: str) -> None:
        """The world is away, and is tried again and again; empty: it is back."""

    def lease_renewed(self) -> None:
        """The batch stays this worker's for another lease."""

    def lease_renewal_failed(self) -> None:
        """A renewal was not answered; the lease runs on as it did."""

    def message_left(self, outcome: str, *, idle: bool = True) -> None:
        """The message was carried out or left; `idle`: the worker holds nothing more."""


StorageService = Literal["blob", "queue", "table"]


class StorageCalls:
    """Who is told of every request that goes to the storage account. This one does not listen.

    Calls are made in the midst of everything: they must return at once, and never raise.
    """

    def called(self, service: StorageService, operation: str, status: int) -> None:
        """A request was sent; `operation` is like Put Message, and status 0 means no answer."""


class Span:
    """A deed in a trace, under way. This one is told to nobody.

    Its calls return at once, and never raise.
    """

    def __init__(self, traceparent: str = "") -> None:
        self.traceparent = traceparent  # W3C trace context, by which others go on from here

    def rename(self, name: str) -> None:
        """Call it by another name, that was not known when it began."""

    def note(self, **attributes: str | float) -> None:
        """Say more of it."""

    def fail(self, reason: str) -> None:
        """Let it count as failed, though nothing is raised."""

    def end(self) -> None:
        """End it before its block does; what is opened until then is its child all the same."""


class Spans:
    """The trace of what is done. This one keeps none, and hands on what it is given."""

    @contextlib.contextmanager
    def span(
        self,
        name: str,  # noqa: ARG002
        *,
        kind: trace_context.Kind = "internal",  # noqa: ARG002
        parent: str = "",
        links: Collection[str] = (),  # noqa: ARG002
        **attributes: str | float,  # noqa: ARG002
    ) -> Iterator[Span]:
        """Have a span for as long as the block runs; an error that leaves it is the span's failure.

        `parent` and `links` are trace contexts, empty or unreadable ones counting as none. Without
        a parent it is the child of the span it is opened in. With a parent in another trace, it is
        linked to that. Attributes that log lines know (`job`, `batch`, `frame`, `attempt`) are on
        every line within it, and so is its `trace_id`.
        """
        yield Span(parent)

    def here(self) -> str:
        """Return the trace context of the span that is open here, or nothing."""
        return ""


class Clock(Protocol):
    """The time, for rules that must know it."""

    def now(self) -> datetime.datetime:
        """Return the wall-clock time, in UTC."""
        ...

    def elapsed(self) -> float:
        """Return seconds since some fixed point; goes on while the machine or process sleeps."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...
