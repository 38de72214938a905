"""Who is told of what is done, as it is done?"""

import contextlib
from collections.abc import Collection, Iterator
from typing import Literal

from blendrop import errors
from blendrop.domain import (
    batches,
    trace_context,
)


class Progress:
    """Who is told what a worker does, as it does it. This one does not listen.

    Calls are made in the midst of rendering: they must return at once, and never raise.
    """

    def message_received(self, *, waited: float, deliveries: int) -> None:
        """A message is here for that often, so many seconds after it was sent."""

    def scene_found(self, *, cached: bool) -> None:
        """A scene lies on the worker's disk; it did before, or was downloaded for this."""

    def batch_begun(self, batch: batches.Batch, *, frames_left: int) -> None:
        """A batch is this worker's, and has Blender; so many of its frames are to be rendered."""

    def scene_opened(self, *, seconds: float) -> None:
        """Blender has loaded the scene, which it had not open."""

    def frame_begun(self, frame: int) -> None:
        """A frame of the batch that was begun last is in hand."""

    def frame_done(self, batch: batches.Batch, frame: int, *, seconds: float) -> None:
        """A frame has its final name; the next batch may be begun already."""

    def frame_failed(
        self,
        batch: batches.Batch,
        frame: int,
        failure_class: errors.FailureClass,
        *,
        seconds: float,
    ) -> None:
        """A frame has no good image from this attempt, which took so long in vain."""

    def waiting(self, reason: str) -> None:
        """The world is away, and is tried again and again; empty: it is back."""

    def standing_by(self, reason: str) -> None:
        """It takes no message, for others use the cores it shares with them; empty: it does."""

    def lease_renewed(self) -> None:
        """The batch stays this worker's for another lease."""

    def lease_renewal_failed(self) -> None:
        """A renewal was not answered; the lease runs on as it did."""

    def message_left(self, outcome: str, *, idle: bool = True) -> None:
        """The message was carried out or left; `idle`: the worker holds nothing more."""


HttpService = Literal["blob", "queue", "table"]
StorageService = HttpService | Literal["file"]


class StorageCalls:
    """Who is told of every request that goes to the storage accounts. This one does not listen.

    Calls are made in the midst of everything: they must return at once, and never raise.
    """

    def called(self, service: StorageService, operation: str, status: int, count: int = 1) -> None:
        """So many requests were sent; `operation` is like Put Message, status 0 means no answer."""


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
